//! Migration v2: `VFIO_DEVICE_FEATURE` with `MIGRATION` and `MIG_DEVICE_STATE`, and the data fd.

use std::fs::File;
use std::io::{self, Read};
use std::mem::offset_of;
use std::os::fd::AsFd;

use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_MIGRATION,
    VFIO_DEVICE_FEATURE_SET, VFIO_MIGRATION_PRE_COPY, VFIO_MIGRATION_STOP_COPY,
    vfio_device_feature, vfio_device_feature_mig_state, vfio_device_feature_migration,
    vfio_precopy_info,
};

use super::device::Device;
use super::error::Error;
use super::ioctl;
use remap_core::event::{DeviceState, Errno};

/// `VFIO_MIGRATION_*`: the migration features of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support(pub u64);

impl Support {
    /// `VFIO_MIGRATION_STOP_COPY`.
    pub fn stop_copy(self) -> bool {
        self.0 & u64::from(VFIO_MIGRATION_STOP_COPY) != 0
    }

    /// `VFIO_MIGRATION_PRE_COPY`.
    pub fn pre_copy(self) -> bool {
        self.0 & u64::from(VFIO_MIGRATION_PRE_COPY) != 0
    }
}

/// The maximum of state data that is read in one state, bytes: an endless stream is an error.
pub const MOST_DATA: usize = 1 << 30;

/// The size of one read of migration data, bytes.
const CHUNK: usize = 1 << 16;

/// How a read of state data ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataEnd {
    /// All of it: `read` returned 0.
    Complete,
    /// All that PRE_COPY has now: `ENOMSG`.
    Drained,
}

impl Device {
    /// `VFIO_DEVICE_FEATURE_MIGRATION`; `None` where the device has no migration v2.
    pub fn migration(&self) -> Result<Option<Support>, Error> {
        let flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION;
        let mut data = [0; size_of::<vfio_device_feature_migration>()];
        match self.feature(flags, &mut data) {
            Ok(()) => Ok(Some(Support(u64::from_ne_bytes(data)))),
            Err(error) => match error.errno() {
                Some(Errno(libc::ENOTTY | libc::EINVAL | libc::EOPNOTSUPP)) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The current state: `VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE`, GET.
    pub fn state(&self) -> Result<DeviceState, Error> {
        let mut data = [0; size_of::<vfio_device_feature_mig_state>()];
        self.feature(
            VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
            &mut data,
        )?;
        Ok(DeviceState::from_uapi(word(
            &data,
            offset_of!(vfio_device_feature_mig_state, device_state),
        )))
    }

    /// Moves the device into `state`, and returns the data fd if the change created one.
    /// `VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE`, SET. Blocks while the driver works.
    ///
    /// # Errors
    /// `ENODEV` if the driver requires the remap IRQ and it is not enabled, `ETIMEDOUT` if its remap
    /// was not acknowledged in time; `EINVAL` for a state of the legacy region.
    pub fn set_state(&self, state: DeviceState) -> Result<Option<File>, Error> {
        let on = || format!("{} to {state}", self.bdf());
        let value = state.to_uapi().ok_or_else(|| {
            let invalid = io::Error::from_raw_os_error(libc::EINVAL);
            Error::call("MIG_DEVICE_STATE", on(), &invalid)
        })?;
        let mut data = [value.to_ne_bytes(), (-1_i32).to_ne_bytes()].concat();
        self.feature(
            VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
            &mut data,
        )
        .map_err(|error| match error {
            Error::Call { errno, hint, .. } => Error::Call {
                call: "MIG_DEVICE_STATE",
                on: on(),
                errno,
                hint,
            },
            other => other,
        })?;
        let fd = word(&data, offset_of!(vfio_device_feature_mig_state, data_fd));
        Ok(ioctl::adopt(fd.cast_signed()))
    }

    /// `VFIO_DEVICE_FEATURE`: `flags` with the feature's number, and its data.
    pub fn feature(&self, flags: u32, data: &mut [u8]) -> Result<(), Error> {
        const HEAD: usize = size_of::<vfio_device_feature>();
        let mut buffer = [0, flags]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect::<Vec<_>>();
        buffer.extend_from_slice(data);
        ioctl::feature(self.file().as_fd(), &mut buffer)
            .map_err(|error| Error::call("DEVICE_FEATURE", self.bdf().to_string(), &error))?;
        if let Some(answer) = buffer.get(HEAD..) {
            data.copy_from_slice(answer);
        }
        Ok(())
    }
}

/// `VFIO_MIG_GET_PRECOPY_INFO` on the data fd of a device in PRE_COPY.
pub fn precopy_info(data: &File) -> io::Result<vfio_precopy_info> {
    ioctl::precopy_info(data.as_fd())
}

/// Appends the data of the data fd to `to`, until its end.
pub fn read_data(mut fd: &File, to: &mut Vec<u8>) -> io::Result<DataEnd> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match fd.read(&mut chunk) {
            Ok(0) => return Ok(DataEnd::Complete),
            Ok(length) => to.extend(chunk.iter().take(length)),
            Err(error) if error.raw_os_error() == Some(libc::ENOMSG) => {
                return Ok(DataEnd::Drained);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if to.len() > MOST_DATA {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
    }
}

/// The word at `at` of a feature's data.
fn word(data: &[u8], at: usize) -> u32 {
    data.get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}
