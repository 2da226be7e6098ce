//! What the kernel and the programs say about records that were lost.

pub mod counters;
pub mod missed_runs;
pub mod stale_calls;
