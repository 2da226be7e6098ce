//! What is inferred and was not seen.

use crate::event::{Origin, Task};

/// An eventfd is inferred to be a device's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// Name of the device.
    pub device: String,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// From what.
    pub origin: Origin,
    /// One sentence: why.
    pub text: String,
    /// The thread.
    pub task: Task,
}
