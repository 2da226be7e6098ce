//! A change of a device's migration state, and how much of it went by waiting for user space.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activity, Spent};
use crate::event::{DeviceState, Errno, MaybeResultName, Task};

/// Names a transition from within a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransitionRef {
    /// Number within the trace, from 1.
    pub id: u64,
    /// The state before, if it is known.
    pub from: Option<DeviceState>,
    /// The state asked for, if it could be read.
    pub to: Option<DeviceState>,
    /// When it began (CLOCK_MONOTONIC ns).
    pub begin_ns: u64,
}

/// A finished state change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// Number within the trace, from 1.
    pub id: u64,
    /// Name of the device.
    pub device: String,
    /// The state before; `None` until one was seen, and after a change that failed.
    pub from: Option<DeviceState>,
    /// The state asked for, if it could be read.
    pub to: Option<DeviceState>,
    /// When it began (CLOCK_MONOTONIC ns).
    pub begin_ns: u64,
    /// When it returned (CLOCK_MONOTONIC ns); `None` if that was not observed.
    pub end_ns: Option<u64>,
    /// What it returned; `None` if that was not observed.
    #[serde(with = "MaybeResultName")]
    pub result: Option<Result<(), Errno>>,
    /// How much of it the driver spent waiting, ns, inferred: the union of the times from each
    /// trigger to its ack or to the end of its last forbidden mapping, within the call. A trigger
    /// that was acknowledged after the return was not waited for. `None` without a trigger
    /// inside, and where records are missing.
    pub waited_ns: Option<u64>,
    /// The states on the way, from the one after `from` to the one before `to`, as the kernel's
    /// table leads a driver (`vfio_mig_get_next_state`); empty where it is one step, where it is
    /// not known, and in the legacy protocol.
    pub path: Vec<DeviceState>,
    /// The data fd that it made, in that process.
    pub data_fd: Option<i32>,
    /// What happened on the device meanwhile, in any thread.
    pub inside: Activity,
    /// Where its time went; the sum is its duration. `None` where the return was not seen, where
    /// records are missing, and where there were too many spans to keep apart.
    pub spent: Option<Spent>,
    /// The thread that changed the state.
    #[serde(flatten)]
    pub task: Task,
}

impl Transition {
    /// How long it took, ns.
    pub fn duration(&self) -> Option<u64> {
        self.end_ns?.checked_sub(self.begin_ns)
    }
}
