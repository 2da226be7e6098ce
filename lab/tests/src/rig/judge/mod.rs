//! What a trace is compared with: the driver's own log, what users recorded, QEMU's trace.

pub mod driver;
pub mod ledger;
pub mod qemu;
pub mod sentence;
