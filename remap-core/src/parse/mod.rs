//! The kernel's answers: bytes → values, with every bound checked.

pub mod capability;
pub mod irq;
pub mod region;
pub mod uapi;
