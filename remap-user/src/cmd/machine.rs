//! Opening a device for a subcommand, and the exit codes of device errors.

use std::sync::Arc;

use crate::exit::{Code, Error};
use crate::respond::error::ServeError;
use crate::respond::handshake::HandshakeError;
use crate::vfio::bdf::BadBdf;
use crate::vfio::device::Device;
use crate::vfio::error::Error as VfioError;
use crate::vfio::open::{self, Via};
use crate::vfio::sysfs::{Bdf, Host};

impl From<BadBdf> for Error {
    fn from(error: BadBdf) -> Self {
        Self::new(Code::Usage, error)
    }
}

impl From<VfioError> for Error {
    fn from(error: VfioError) -> Self {
        let code = match error {
            VfioError::BadBdf(_) => Code::Usage,
            VfioError::NoIommu(_)
            | VfioError::NoType1(_)
            | VfioError::NoVfio { .. }
            | VfioError::NoCdev { .. }
            | VfioError::Denied { .. } => Code::Machine,
            _ => Code::Failed,
        };
        Self::new(code, error)
    }
}

impl From<ServeError> for Error {
    fn from(error: ServeError) -> Self {
        let code = match &error {
            ServeError::Handshake {
                error: HandshakeError::WrongForm { .. },
                ..
            } => Code::Usage,
            _ => Code::Failed,
        };
        Self::new(code, error)
    }
}

/// The device of an argument: opened, or inherited as `fd` from the process that opened it.
pub fn open_device(text: &str, via: Via, fd: Option<i32>) -> Result<Arc<Device>, Error> {
    let bdf: Bdf = text.parse()?;
    let device = match fd {
        None => open::open(&Host::default(), bdf, via)?,
        Some(fd) => open::inherited(bdf, fd)?,
    };
    Ok(Arc::new(device))
}
