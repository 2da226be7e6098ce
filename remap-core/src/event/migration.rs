//! The migration data fd.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeviceKey, Errno, Returned};

/// A read or a write of a migration data fd returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MigrationData {
    /// The device, if it is known which one the file belongs to.
    #[serde(skip)]
    pub device: Option<DeviceKey>,
    /// The file: names it within the trace, until it is closed.
    pub file: u64,
    /// Whether it was a write (the destination's side).
    pub write: bool,
    /// Bytes asked for.
    pub requested: u64,
    /// When it began.
    pub begin_ns: u64,
    /// Bytes moved, or the errno.
    #[serde(flatten, with = "Returned")]
    pub result: Result<i64, Errno>,
}

/// `VFIO_MIG_GET_PRECOPY_INFO` on a migration data fd returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrecopyInfo {
    /// The device, if it is known.
    #[serde(skip)]
    pub device: Option<DeviceKey>,
    /// The file.
    pub file: u64,
    /// When it began.
    pub begin_ns: u64,
    /// `initial_bytes`, if it could be read.
    pub initial_bytes: Option<u64>,
    /// `dirty_bytes`, if it could be read.
    pub dirty_bytes: Option<u64>,
    /// Success, or the errno.
    #[serde(flatten, with = "Returned")]
    pub result: Result<i64, Errno>,
}
