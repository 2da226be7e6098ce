//! VFIO as user space sees it: the uAPI's structures, parsed with every bound checked.

pub mod capability;
pub mod irq;
pub mod region;
pub mod uapi;
