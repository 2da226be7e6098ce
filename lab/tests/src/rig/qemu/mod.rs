//! A QEMU as the VMM: virtual machines with an assigned device, and the scenarios of their migrations.

pub mod clock;
pub mod firmware;
pub mod log;
pub mod outcome;
pub mod play;
mod qmp;
pub mod scenario;
pub mod stage;
mod timeline;
pub mod vm;
