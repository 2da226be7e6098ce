//! Migration v1: the legacy migration region. Its first word is the device state.
//!
//! It was removed from the kernel's drivers in 5.18 (`struct vfio_device_migration_info` stays in
//! the uAPI as deprecated); the remap IRQ was proposed for it.

use std::mem::offset_of;
use std::sync::Arc;

use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_STATE_V1_RESUMING, VFIO_DEVICE_STATE_V1_RUNNING, VFIO_DEVICE_STATE_V1_SAVING,
    VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED, VFIO_REGION_TYPE_MIGRATION_DEPRECATED,
    vfio_device_migration_info,
};

use super::device::Device;
use super::error::Error;
use super::migration::MOST_DATA;
use remap_core::event::{DeviceState, Errno};
use remap_core::parse::region::Region;

/// Type and subtype of the legacy migration region.
pub const KIND: (u32, u32) = (
    VFIO_REGION_TYPE_MIGRATION_DEPRECATED,
    VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED,
);

const STATE: u64 = offset_of!(vfio_device_migration_info, device_state) as u64;
const PENDING: u64 = offset_of!(vfio_device_migration_info, pending_bytes) as u64;
const OFFSET: u64 = offset_of!(vfio_device_migration_info, data_offset) as u64;
const SIZE: u64 = offset_of!(vfio_device_migration_info, data_size) as u64;

/// The word for a state of migration v2; `None` if v1 has none.
pub fn word_of(state: DeviceState) -> Option<u32> {
    Some(match state {
        DeviceState::Stop => 0,
        DeviceState::Running => VFIO_DEVICE_STATE_V1_RUNNING,
        DeviceState::PreCopy => VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RUNNING,
        DeviceState::StopCopy => VFIO_DEVICE_STATE_V1_SAVING,
        DeviceState::Resuming => VFIO_DEVICE_STATE_V1_RESUMING,
        DeviceState::Legacy(word) => word,
        _ => return None,
    })
}

/// The legacy migration region of a device.
#[derive(Debug)]
pub struct LegacyRegion {
    device: Arc<Device>,
    region: Region,
}

impl LegacyRegion {
    /// The migration region in `region`, which has [`KIND`].
    pub fn of(device: &Arc<Device>, region: Region) -> Self {
        Self {
            device: Arc::clone(device),
            region,
        }
    }

    /// The device's migration region, if it has one.
    ///
    /// # Errors
    /// If a region cannot be queried, which could be the migration region; except indexes that the
    /// device omits.
    pub fn find(device: &Arc<Device>) -> Result<Option<Self>, Error> {
        for answer in device.regions()? {
            match answer {
                Ok(region) if region.kind == Some(KIND) => {
                    return Ok(Some(Self::of(device, region)));
                }
                Err(error) if !error.is_absent() => return Err(error),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The `device_state` word.
    pub fn state(&self) -> Result<u32, Error> {
        let mut word = [0; 4];
        self.device.read(&self.region, STATE, &mut word)?;
        Ok(u32::from_ne_bytes(word))
    }

    /// Writes the `device_state` word. Blocks while the driver works.
    ///
    /// # Errors
    /// As [`Device::set_state`].
    pub fn set_state(&self, word: u32) -> Result<(), Error> {
        let written = self.device.write(&self.region, STATE, &word.to_ne_bytes());
        written.map_err(|error| match error {
            Error::Call { errno, hint, .. } => {
                let on = format!("{} to {}", self.device.bdf(), DeviceState::Legacy(word));
                Error::Call {
                    call: "device_state",
                    on,
                    errno,
                    hint,
                }
            }
            other => other,
        })
    }

    /// Appends the pending data of the current state to `to`: for each piece `pending_bytes`,
    /// `data_offset`, `data_size` and the data, until nothing is pending.
    pub fn read_data(&self, to: &mut Vec<u8>) -> Result<(), Error> {
        while self.u64(PENDING)? != 0 {
            let offset = self.u64(OFFSET)?;
            let size = self.u64(SIZE)?;
            let inside = offset
                .checked_add(size)
                .is_some_and(|end| end <= self.region.size);
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size == 0 || !inside || to.len().saturating_add(size) > MOST_DATA {
                return Err(Error::Call {
                    call: "read",
                    on: format!("{} region {}", self.device.bdf(), self.region.index),
                    errno: Errno(libc::EPROTO),
                    hint: "its data_offset and data_size do not describe data of the region",
                });
            }
            let mut piece = vec![0; size];
            self.device.read(&self.region, offset, &mut piece)?;
            to.append(&mut piece);
        }
        Ok(())
    }

    /// Writes `data` into the device in _RESUMING: `data_offset`, the data, `data_size`.
    pub fn write_data(&self, data: &[u8]) -> Result<(), Error> {
        let mut rest = data;
        while !rest.is_empty() {
            let offset = self.u64(OFFSET)?;
            let room = self.region.size.saturating_sub(offset);
            let length = rest.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (piece, after) = rest.split_at(length);
            self.device.write(&self.region, offset, piece)?;
            self.device
                .write(&self.region, SIZE, &(length as u64).to_ne_bytes())?;
            rest = after;
        }
        Ok(())
    }

    fn u64(&self, at: u64) -> Result<u64, Error> {
        let mut value = [0; 8];
        self.device.read(&self.region, at, &mut value)?;
        Ok(u64::from_ne_bytes(value))
    }
}
