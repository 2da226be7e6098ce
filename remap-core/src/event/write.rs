//! Writes to a device through its file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeviceKey, Errno, Returned};

/// A write(2) to the start of a device-specific region begins: where the region is the
/// legacy migration region, this is its `device_state` word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateWriteEnter {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// Region index.
    pub region: u32,
    /// The word that is written, if it could be read.
    pub word: Option<u32>,
}

/// That write returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateWriteExit {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// Region index.
    pub region: u32,
    /// The word that was written, if it could be read.
    pub word: Option<u32>,
    /// When it began.
    pub begin_ns: u64,
    /// Bytes written, or the errno.
    #[serde(flatten, with = "Returned")]
    pub result: Result<i64, Errno>,
}

/// A write to the device's config space through its file returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigWrite {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// Offset in config space, bytes.
    pub offset: u64,
    /// What was written, as far as four bytes hold it and if it could be read.
    pub value: Option<u32>,
    /// When it began.
    pub begin_ns: u64,
    /// Bytes written, or the errno.
    #[serde(flatten, with = "Returned")]
    pub result: Result<i64, Errno>,
}
