//! The counts of seen, sent and lost records, from the programs and the kernel.

pub mod counters;
pub mod missed_runs;
pub mod stale_calls;
