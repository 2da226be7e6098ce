//! What a device's migrations add up to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::times::{Quantiles, Times};
use crate::event::{DeviceState, Errno};
use crate::json;
use crate::model::{Activity, Precopy, Spent};

/// The time in one state.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StateStats {
    /// How often the device was in it.
    pub intervals: u64,
    /// Their time as far as it is known, ns.
    pub total_ns: u64,
    /// Whether every one of them was seen from its begin to its end.
    pub complete: bool,
    /// What happened meanwhile.
    pub activity: Activity,
    /// What `VFIO_MIG_GET_PRECOPY_INFO` answered last.
    pub precopy: Option<Precopy>,
}

/// One kind of state change: from one state to another.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ChangeStats {
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that failed, by errno.
    pub failed: BTreeMap<Errno, u64>,
    /// Those whose return was not seen.
    pub unfinished: u64,
    pub(crate) duration: Times,
}

impl ChangeStats {
    /// How long those that succeeded took; `None` if none did.
    pub fn duration(&self) -> Option<Quantiles> {
        self.duration.quantiles()
    }
}

/// DMA logging (`VFIO_DEVICE_FEATURE_DMA_LOGGING_*`), calls that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoggingStats {
    /// `DMA_LOGGING_START`.
    pub starts: u64,
    /// `DMA_LOGGING_STOP`.
    pub stops: u64,
    /// `DMA_LOGGING_REPORT`.
    pub reports: u64,
    /// Time spent in reports, ns.
    pub report_ns: u64,
    /// Length of all reported ranges, bytes.
    pub report_bytes: u64,
    /// Calls that failed.
    pub failed: u64,
    /// `page_size` of the last start, bytes.
    pub page_size: Option<u64>,
}

/// From one state to another.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct FromTo {
    /// The state before; null where it was not known.
    pub from: Option<DeviceState>,
    /// The state asked for; null where it could not be read.
    pub to: Option<DeviceState>,
}

json::list! {
    ByState of StateEntry {
        state: DeviceState,
        #[serde(flatten)]
        stats: StateStats,
    }
}

json::list! {
    ByChange of ChangeEntry {
        #[serde(flatten)]
        from_to: FromTo,
        #[serde(flatten)]
        stats: ChangeStats,
    }
}

/// What a device's migrations add up to.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct MigrationStats {
    /// `VFIO_MIGRATION_*` flags, if user space asked for them.
    pub flags: Option<u64>,
    /// The time in each state.
    #[serde(with = "ByState")]
    pub states: BTreeMap<DeviceState, StateStats>,
    /// What happened while the state was not known.
    pub unknown: Activity,
    /// State changes, by the state before and the one asked for.
    #[serde(with = "ByChange")]
    pub changes: BTreeMap<FromTo, ChangeStats>,
    /// What happened inside of state changes.
    pub inside: Activity,
    /// Where the time of state changes went, those whose every record is there.
    pub spent: Spent,
    /// `stop_copy_length` of the last `MIG_DATA_SIZE`, bytes.
    pub data_size: Option<u64>,
    /// DMA logging.
    pub logging: LoggingStats,
}

impl MigrationStats {
    /// Everything that was moved, in states, changes and while the state was not known.
    pub fn activity(&self) -> Activity {
        let mut sum = self.inside.clone();
        sum.add(&self.unknown);
        for state in self.states.values() {
            sum.add(&state.activity);
        }
        sum
    }
}
