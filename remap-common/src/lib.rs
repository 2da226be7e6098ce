#![no_std]
//! The data that crosses the kernel boundary: the records that the eBPF programs send, the counters
//! that account for them, the filters, and the offsets that user space measures.

pub mod counter;
pub mod filter;
pub mod in_flight;
pub mod layout;
pub mod loss;
pub mod module;
pub mod number;
pub mod phase;
pub mod record;
pub mod self_test;
pub mod uapi;
pub mod walk;
