//! Where records come from: the ring, which is live; a recording will be another source of the
//! same. And what else is read of a running machine while a trace goes on.

pub mod clock;
pub mod counters;
pub mod early;
pub mod process;
pub mod qemu_log;
pub mod ring;
pub mod watermark;
