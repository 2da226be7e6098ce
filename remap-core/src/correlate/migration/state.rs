//! The migration state, and the features that are queried.

use crate::correlate::rules::Verdict;
use crate::event::{DeviceState, FeatureData, FeatureOp};

/// How a device migrates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::correlate) enum Protocol {
    /// `VFIO_DEVICE_FEATURE_MIGRATION`.
    Feature,
    /// The migration region of kernels before 5.18.
    Legacy,
}

impl Protocol {
    /// The protocol that a state belongs to.
    pub(super) fn of(state: DeviceState) -> Self {
        match state {
            DeviceState::Legacy(_) => Self::Legacy,
            _ => Self::Feature,
        }
    }
}

/// The state, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Known {
    #[default]
    Unknown,
    /// It was reset or opened again: running, in either protocol.
    Running,
    State(DeviceState),
}

impl Known {
    pub(super) fn get(self, protocol: Protocol) -> Option<DeviceState> {
        match (self, protocol) {
            (Self::Unknown, _) => None,
            (Self::Running, Protocol::Legacy) => Some(DeviceState::Legacy(1)),
            (Self::Running, Protocol::Feature) => Some(DeviceState::Running),
            (Self::State(state), _) => Some(state),
        }
    }
}

/// A state that was reported once, and is not what it should be: it may be what another thread wrote
/// to the caller's memory.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) state: DeviceState,
    /// What was known before.
    pub(super) before: Known,
    pub(super) verdict: Verdict,
}

/// A `VFIO_DEVICE_FEATURE` that is no state change.
#[derive(Clone, Copy, Debug)]
pub(in crate::correlate) struct Feature {
    pub(in crate::correlate) number: u32,
    pub(in crate::correlate) op: FeatureOp,
    pub(in crate::correlate) data: FeatureData,
}
