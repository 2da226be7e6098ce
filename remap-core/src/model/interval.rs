//! The time that a device was in one migration state, and what user space did meanwhile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Activity;
use crate::event::{DeviceState, Task};

/// What `VFIO_MIG_GET_PRECOPY_INFO` answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Precopy {
    /// How often it was asked.
    pub count: u64,
    /// `initial_bytes` of the last answer.
    pub initial_bytes: u64,
    /// `dirty_bytes` of the last answer.
    pub dirty_bytes: u64,
    /// When that came (CLOCK_MONOTONIC ns).
    pub last_ns: u64,
}

/// The time of a device in a migration state: from the return of the call that entered it, or since it
/// was known, to the begin of the call that left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateInterval {
    /// Name of the device.
    pub device: String,
    /// The state.
    pub state: DeviceState,
    /// Since when it is known to be in it (CLOCK_MONOTONIC ns).
    pub since_ns: u64,
    /// Until when (CLOCK_MONOTONIC ns).
    pub until_ns: u64,
    /// Whether it entered the state then; else it was found in it, and may have been longer.
    pub entered: bool,
    /// Whether it left the state then; else the trace ended, or the state was not known any more.
    pub left: bool,
    /// The data fd that the change into the state made, in the process that asked for it.
    pub data_fd: Option<i32>,
    /// What happened meanwhile, without what happened inside of a state change.
    pub activity: Activity,
    /// What `VFIO_MIG_GET_PRECOPY_INFO` answered last, if it was asked.
    pub precopy: Option<Precopy>,
    /// The thread that entered the state, or that asked.
    #[serde(flatten)]
    pub task: Task,
}

impl StateInterval {
    /// How long it is known to have been, ns.
    pub fn duration(&self) -> u64 {
        self.until_ns.saturating_sub(self.since_ns)
    }
}
