//! Losses of records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeviceKey, LostKind};

/// Records were lost before this point: what follows may miss a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lost {
    /// How many, at least; 0 where more than one place in time may be that of a loss.
    pub count: u64,
    /// What they can have been.
    pub records: LostKind,
    /// The device that they are about; `None`: any.
    #[serde(skip)]
    pub device: Option<DeviceKey>,
}

impl Lost {
    /// Records of any kind, about any device.
    pub fn any(count: u64) -> Self {
        Self {
            count,
            records: LostKind::Other,
            device: None,
        }
    }

    /// Whether a call on a device, or a read or write of migration data, may be among them.
    pub fn touches_calls(&self) -> bool {
        matches!(self.records, LostKind::Other | LostKind::Data)
    }
}
