//! Opens and closes of a device.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{DeviceState, Node, Task};

/// A device's file was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opened {
    /// Name of the device.
    pub device: String,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// Through which node.
    pub node: Node,
    /// The fd in that process, where the kernel hands it out there.
    pub fd: Option<i32>,
    /// The thread.
    #[serde(flatten)]
    pub task: Task,
}

/// A state change that had not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnfinishedChange {
    /// The state asked for; null if it could not be read.
    pub to: Option<DeviceState>,
}

/// A device's last file was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Closed {
    /// Name of the device.
    pub device: String,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// Whether the closing process was about to end; `None` if that is not known.
    pub dying: Option<bool>,
    /// The migration state that it was in, as far as it was known.
    pub state: Option<DeviceState>,
    /// The state change during which it was closed.
    pub inside: Option<UnfinishedChange>,
    /// The regions whose trigger was not acknowledged, in order.
    pub unanswered: Vec<u32>,
    /// The thread.
    #[serde(flatten)]
    pub task: Task,
}
