//! VFIO devices: ioctls, mappings, eventfds, opening, and what sysfs shows of them. The answers of
//! the kernel are parsed in `remap_core::parse`.

pub mod bdf;
pub mod device;
pub mod error;
pub mod eventfd;
mod ioctl;
pub mod legacy;
pub mod mapping;
pub mod migration;
pub mod open;
pub mod sysfs;
