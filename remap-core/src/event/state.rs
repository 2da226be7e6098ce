//! Migration states.

use std::fmt;
use std::str::FromStr;

use crate::json;

/// The bits of the legacy `device_state` word.
const LEGACY_BITS: [(u32, &str); 3] = [
    (VFIO_DEVICE_STATE_V1_RUNNING, "_RUNNING"),
    (VFIO_DEVICE_STATE_V1_SAVING, "_SAVING"),
    (VFIO_DEVICE_STATE_V1_RESUMING, "_RESUMING"),
];

use remap_common::uapi::{
    VFIO_DEVICE_STATE_ERROR, VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_PRE_COPY_P2P,
    VFIO_DEVICE_STATE_RESUMING, VFIO_DEVICE_STATE_RUNNING, VFIO_DEVICE_STATE_RUNNING_P2P,
    VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_V1_RESUMING,
    VFIO_DEVICE_STATE_V1_RUNNING, VFIO_DEVICE_STATE_V1_SAVING,
};

/// A migration state: `enum vfio_device_mig_state` of the uAPI, or the legacy word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceState {
    /// `VFIO_DEVICE_STATE_ERROR` (0).
    Error,
    /// `VFIO_DEVICE_STATE_STOP` (1).
    Stop,
    /// `VFIO_DEVICE_STATE_RUNNING` (2).
    Running,
    /// `VFIO_DEVICE_STATE_STOP_COPY` (3).
    StopCopy,
    /// `VFIO_DEVICE_STATE_RESUMING` (4).
    Resuming,
    /// `VFIO_DEVICE_STATE_RUNNING_P2P` (5).
    RunningP2p,
    /// `VFIO_DEVICE_STATE_PRE_COPY` (6).
    PreCopy,
    /// `VFIO_DEVICE_STATE_PRE_COPY_P2P` (7).
    PreCopyP2p,
    /// A value that this version of remap does not know.
    Unknown(u32),
    /// The `device_state` word of the legacy (v1) migration region:
    /// bit 0 _RUNNING, bit 1 _SAVING, bit 2 _RESUMING.
    Legacy(u32),
}

impl DeviceState {
    /// The state for a value of `struct vfio_device_feature_mig_state.device_state`.
    pub fn from_uapi(value: u32) -> Self {
        match value {
            VFIO_DEVICE_STATE_ERROR => Self::Error,
            VFIO_DEVICE_STATE_STOP => Self::Stop,
            VFIO_DEVICE_STATE_RUNNING => Self::Running,
            VFIO_DEVICE_STATE_STOP_COPY => Self::StopCopy,
            VFIO_DEVICE_STATE_RESUMING => Self::Resuming,
            VFIO_DEVICE_STATE_RUNNING_P2P => Self::RunningP2p,
            VFIO_DEVICE_STATE_PRE_COPY => Self::PreCopy,
            VFIO_DEVICE_STATE_PRE_COPY_P2P => Self::PreCopyP2p,
            other => Self::Unknown(other),
        }
    }

    /// Whether a legacy word is one that user space may ask for: _RESUMING stands alone, and no other
    /// bits are defined (`VFIO_DEVICE_STATE_VALID` of the uAPI before 5.18); `None` for a state of the
    /// present protocol.
    pub fn is_valid_word(self) -> Option<bool> {
        match self {
            Self::Legacy(word) => Some(word <= VFIO_DEVICE_STATE_V1_RESUMING),
            _ => None,
        }
    }

    /// The uAPI's value; `None` for a legacy word, which lives in another number space.
    pub fn to_uapi(self) -> Option<u32> {
        Some(match self {
            Self::Error => VFIO_DEVICE_STATE_ERROR,
            Self::Stop => VFIO_DEVICE_STATE_STOP,
            Self::Running => VFIO_DEVICE_STATE_RUNNING,
            Self::StopCopy => VFIO_DEVICE_STATE_STOP_COPY,
            Self::Resuming => VFIO_DEVICE_STATE_RESUMING,
            Self::RunningP2p => VFIO_DEVICE_STATE_RUNNING_P2P,
            Self::PreCopy => VFIO_DEVICE_STATE_PRE_COPY,
            Self::PreCopyP2p => VFIO_DEVICE_STATE_PRE_COPY_P2P,
            Self::Unknown(value) => value,
            Self::Legacy(_) => return None,
        })
    }
}

impl fmt::Display for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Error => "ERROR",
            Self::Stop => "STOP",
            Self::Running => "RUNNING",
            Self::StopCopy => "STOP_COPY",
            Self::Resuming => "RESUMING",
            Self::RunningP2p => "RUNNING_P2P",
            Self::PreCopy => "PRE_COPY",
            Self::PreCopyP2p => "PRE_COPY_P2P",
            Self::Unknown(value) => return write!(f, "state {value}"),
            Self::Legacy(0) => "_STOP",
            Self::Legacy(word) => {
                let mut rest = *word;
                let mut separator = "";
                for (bit, name) in LEGACY_BITS {
                    if rest & bit != 0 {
                        write!(f, "{separator}{name}")?;
                        separator = "|";
                        rest &= !bit;
                    }
                }
                if rest != 0 {
                    write!(f, "{separator}{rest:#x}")?;
                }
                return Ok(());
            }
        };
        f.pad(name)
    }
}

/// What is no migration state.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no migration state")]
pub struct NoState(String);

impl FromStr for DeviceState {
    type Err = NoState;

    fn from_str(text: &str) -> Result<Self, NoState> {
        let of_uapi = (0..=7).map(Self::from_uapi);
        let mut named = of_uapi.chain([Self::Legacy(0)]);
        let unknown = || Some(Self::Unknown(text.strip_prefix("state ")?.parse().ok()?));
        named
            .find(|state| state.to_string() == text)
            .or_else(unknown)
            .or_else(|| legacy_word(text).map(Self::Legacy))
            .ok_or_else(|| NoState(text.to_owned()))
    }
}

/// The word that [`LEGACY_BITS`] and a rest in hexadecimal name.
fn legacy_word(text: &str) -> Option<u32> {
    text.split('|').try_fold(0, |word, part| {
        let bit = LEGACY_BITS.into_iter().find(|(_, name)| *name == part);
        let rest = || u32::from_str_radix(part.strip_prefix("0x")?, 16).ok();
        Some(word | bit.map(|(bit, _)| bit).or_else(rest)?)
    })
}

json::string!(
    DeviceState,
    "DeviceState",
    "A migration state as in the kernel's uAPI, or the legacy word's bits."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_back() {
        let known = (0..9).map(DeviceState::from_uapi);
        for state in known.chain((0..17).map(DeviceState::Legacy)) {
            assert_eq!(state.to_string().parse::<DeviceState>().ok(), Some(state));
        }
        assert!("RUN".parse::<DeviceState>().is_err());
    }

    #[test]
    fn a_bit_that_is_named_twice_is_set() {
        let twice = "_RUNNING|_RUNNING".parse::<DeviceState>();
        assert_eq!(twice.ok(), Some(DeviceState::Legacy(1)));
    }

    #[test]
    fn only_a_state_of_the_present_protocol_has_a_value_of_the_uapi() {
        for value in 0..9 {
            assert_eq!(DeviceState::from_uapi(value).to_uapi(), Some(value));
        }
        assert_eq!(DeviceState::Legacy(1).to_uapi(), None);
    }
}
