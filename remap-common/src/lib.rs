#![no_std]
//! What crosses the kernel boundary, and nothing else: the records that the eBPF programs send,
//! the counters that account for them, the filters and offsets that user space hands down.

pub mod counter;
pub mod filter;
pub mod in_flight;
pub mod layout;
pub mod module;
pub mod record;
pub mod uapi;
pub mod walk;
