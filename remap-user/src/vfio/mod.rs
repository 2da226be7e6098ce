//! VFIO as user space sees it: the uAPI's structures, parsed with every bound checked, and the
//! device behind them.
//!
//! `capability`, `region` and `irq` are pure. The rest talks to the kernel, and only here is
//! `unsafe` found.

pub mod device;
pub mod error;
pub mod eventfd;
mod ioctl;
pub mod legacy;
pub mod mapping;
pub mod migration;
pub mod open;
pub mod sysfs;
