//! Parts of the evidence of findings; `rule` has the evidence of each rule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Cause;
use crate::event::{DeviceState, Errno};

/// A state change that failed, or that has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedChange {
    /// The state asked for, if it could be read.
    pub to: Option<DeviceState>,
    /// What it failed with; `None`: it has not returned.
    pub errno: Option<Errno>,
    /// How long it took, or has taken so far, ns.
    pub duration_ns: u64,
}

/// Why a state change cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoWay {
    /// The uAPI's state machine has no arcs that lead there.
    Blocked,
    /// The device's migration flags do not include this state.
    Unsupported(DeviceState),
}

/// What the driver named outside of its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// A bit that the mask does not contain.
    Mask {
        /// The bit.
        bit: u32,
        /// The mask, whose bit 0 is the region `base`.
        mask: u64,
        /// The first region.
        base: u32,
    },
    /// A region whose description is refused.
    Refused(Errno),
}

/// What has become of a mapping while its region is mapped for DMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DmaLoss {
    /// It was unmapped.
    Unmapped,
    /// The region's description does not allow it any more.
    Trapped,
}

/// Why an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// A zap had taken the pages out.
    Zapped {
        /// Its cause.
        cause: Cause,
        /// How long before, ns.
        since_ns: u64,
    },
    /// The region's last description does not allow a mapping there.
    Trapped,
    /// Nothing that was seen explains it.
    Unexplained,
}
