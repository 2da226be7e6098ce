//! Calls on a device that were in flight when the trace began.

use super::{Call, DeviceKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A system call on a device, of those that the probes trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum DeviceCall {
    /// pwrite(2) to config space, or to the start of a device-specific region: a legacy state change
    /// where that is the migration region.
    #[serde(rename = "write_region")]
    Write {
        /// Region index.
        region: u32,
    },
    /// ioctl(2).
    #[serde(untagged)]
    Ioctl(Call),
}

impl DeviceCall {
    /// Whether it changes the migration state; a legacy state change is not recognised as one.
    pub fn changes_state(&self) -> bool {
        matches!(self, Self::Ioctl(call) if call.changes_state())
    }
}

/// A call was in flight when the trace began. No probe sees its return, since the kernel arms a
/// return probe at the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InFlight {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// What was called.
    pub call: DeviceCall,
    /// The functions in which the thread waits, innermost first; empty if that could not be
    /// read.
    pub waits_in: Vec<String>,
}
