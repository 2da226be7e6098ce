//! What is inferred and was not seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Origin, Task};

/// An eventfd is inferred to be a device's, or a region to be that of the legacy migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inferred {
    /// Name of the device.
    pub device: String,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// From what.
    pub origin: Origin,
    /// The region that is taken for that of the legacy migration.
    pub region: Option<u32>,
    /// The thread.
    #[serde(flatten)]
    pub task: Task,
}
