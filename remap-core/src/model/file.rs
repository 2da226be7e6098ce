//! Opens and closes of a device.

use crate::event::{DeviceState, Node, Task};

/// A device's file was made.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub task: Task,
}

/// A device's last file was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Name of the device.
    pub device: String,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// Whether the closing process was about to end; `None` if that is not known.
    pub dying: Option<bool>,
    /// The migration state that it was in, as far as it was known.
    pub state: Option<DeviceState>,
    /// In which state change it was closed: the state that it asks for, if that could be read.
    pub inside: Option<Option<DeviceState>>,
    /// The regions whose trigger was not acknowledged, in order.
    pub unanswered: Vec<u32>,
    /// The thread.
    pub task: Task,
}
