//! One interface to both kinds of migration: v2, and the legacy region.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use crate::vfio::device::Device;
use crate::vfio::error::Error;
use crate::vfio::legacy::{self, LegacyRegion};
use crate::vfio::migration::{Support, read_data};
use remap_core::event::DeviceState;

/// How a device migrates.
#[derive(Debug)]
enum Way {
    /// Migration v2; the data fd of the current state, if it has one.
    V2 {
        support: Support,
        data: Option<File>,
    },
    /// The legacy migration region.
    V1(LegacyRegion),
}

/// A device's migration.
#[derive(Debug)]
pub struct Migration {
    device: Arc<Device>,
    way: Way,
}

impl Migration {
    /// Migration v2 where the device has it, else the legacy region; `None` if it has neither.
    pub fn find(device: &Arc<Device>) -> Result<Option<Self>, Error> {
        let way = match device.migration()? {
            Some(support) => Some(Way::V2 {
                support,
                data: None,
            }),
            None => LegacyRegion::find(device)?.map(Way::V1),
        };
        Ok(way.map(|way| Self {
            device: Arc::clone(device),
            way,
        }))
    }

    /// Its name: the interface, and whether it has PRE_COPY.
    pub fn name(&self) -> &'static str {
        match &self.way {
            Way::V2 { support, .. } if support.pre_copy() => "v2 with PRE_COPY",
            Way::V2 { .. } => "v2 without PRE_COPY",
            Way::V1(_) => "v1, legacy region",
        }
    }

    /// The states of one full cycle, from RUNNING to RUNNING.
    pub fn cycle(&self) -> Vec<DeviceState> {
        use DeviceState::{PreCopy, Resuming, Running, Stop, StopCopy};
        match &self.way {
            Way::V2 { support, .. } if support.pre_copy() => {
                vec![PreCopy, StopCopy, Stop, Resuming, Stop, Running]
            }
            // The kernel inserts the states between RUNNING and STOP_COPY.
            Way::V2 { .. } => vec![StopCopy, Stop, Resuming, Stop, Running],
            // v1 goes from _RESUMING to _RUNNING in one step.
            Way::V1(_) => vec![PreCopy, StopCopy, Stop, Resuming, Running],
        }
    }

    /// The states on the way to the first one that saves the state, which takes one arc from the last of
    /// them; and that one.
    pub fn before_saving(&self) -> (Vec<DeviceState>, DeviceState) {
        match &self.way {
            Way::V2 { support, .. } if !support.pre_copy() => {
                (vec![DeviceState::Stop], DeviceState::StopCopy)
            }
            _ => (Vec::new(), DeviceState::PreCopy),
        }
    }

    /// `state` by the name that this device's interface has for it.
    pub fn named(&self, state: DeviceState) -> DeviceState {
        match &self.way {
            Way::V2 { .. } => state,
            Way::V1(_) => legacy::word_of(state).map_or(state, DeviceState::Legacy),
        }
    }

    /// The current state, queried from the device.
    pub fn state(&self) -> Result<DeviceState, Error> {
        match &self.way {
            Way::V2 { .. } => self.device.state(),
            Way::V1(region) => region.state().map(DeviceState::Legacy),
        }
    }

    /// Whether the device is in `state`.
    pub fn is_in(&self, state: DeviceState) -> Result<bool, Error> {
        let now = self.state()?;
        Ok(match &self.way {
            Way::V2 { .. } => now == state,
            Way::V1(_) => legacy::word_of(now) == legacy::word_of(state),
        })
    }

    /// Moves the device into `state`. Blocks while the driver works.
    pub fn set(&mut self, state: DeviceState) -> Result<(), Error> {
        match &mut self.way {
            Way::V2 { data, .. } => {
                let new = self.device.set_state(state)?;
                // PRE_COPY → STOP_COPY keeps its data fd.
                if new.is_some() || state != DeviceState::StopCopy {
                    *data = new;
                }
                Ok(())
            }
            Way::V1(region) => {
                let word = legacy::word_of(state).ok_or_else(|| {
                    let invalid = io::Error::from_raw_os_error(libc::EINVAL);
                    Error::call(
                        "device_state",
                        format!("{} to {state}", self.device.bdf()),
                        &invalid,
                    )
                })?;
                region.set_state(word)
            }
        }
    }

    /// Appends the state data that the current state has to `to`.
    pub fn read(&self, to: &mut Vec<u8>) -> Result<(), Error> {
        match &self.way {
            Way::V2 { data, .. } => self
                .data(data.as_ref())
                .and_then(|data| read_data(data, to))
                .map(drop)
                .map_err(|error| self.failed("read", &error)),
            Way::V1(region) => region.read_data(to),
        }
    }

    /// Writes state data into a device that is RESUMING.
    pub fn write(&self, stream: &[u8]) -> Result<(), Error> {
        match &self.way {
            Way::V2 { data, .. } => self
                .data(data.as_ref())
                .and_then(|mut data| data.write_all(stream))
                .map_err(|error| self.failed("write", &error)),
            Way::V1(region) => region.write_data(stream),
        }
    }

    /// Returns the device to RUNNING, by a reset if nothing else works.
    pub fn recover(&mut self) -> Result<(), Error> {
        if let Way::V2 { data, .. } = &mut self.way {
            *data = None;
        }
        if self.is_in(DeviceState::Running)? || self.set(DeviceState::Running).is_ok() {
            return Ok(());
        }
        self.device.reset()?;
        if self.is_in(DeviceState::Running)? {
            Ok(())
        } else {
            self.set(DeviceState::Running)
        }
    }

    fn data<'a>(&self, data: Option<&'a File>) -> io::Result<&'a File> {
        data.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    fn failed(&self, call: &'static str, error: &io::Error) -> Error {
        Error::call(
            call,
            format!("the state data of {}", self.device.bdf()),
            error,
        )
    }
}

/// Parses a state of the command line, such as `pre-copy`.
pub fn parse_state(text: &str) -> Result<DeviceState, String> {
    Ok(match text.replace('_', "-").to_ascii_lowercase().as_str() {
        "stop" => DeviceState::Stop,
        "running" => DeviceState::Running,
        "stop-copy" => DeviceState::StopCopy,
        "resuming" => DeviceState::Resuming,
        "running-p2p" => DeviceState::RunningP2p,
        "pre-copy" => DeviceState::PreCopy,
        "pre-copy-p2p" => DeviceState::PreCopyP2p,
        _ => {
            return Err(
                "a state is one of running, pre-copy, stop-copy, stop, resuming, \
                        running-p2p, pre-copy-p2p"
                    .to_owned(),
            );
        }
    })
}

/// Whether a device in this state has its state saved.
pub fn is_saving(state: DeviceState) -> bool {
    matches!(
        state,
        DeviceState::PreCopy | DeviceState::PreCopyP2p | DeviceState::StopCopy
    )
}
