//! Errors of VFIO devices: the failed call, its object, the errno, the remedy.

use std::io;

use thiserror::Error;

use super::bdf::{BadBdf, Bdf};
use remap_core::event::Errno;
use remap_core::parse::capability::ChainError;

/// An error of the device layer. Its text is one line.
#[derive(Debug, Error)]
pub enum Error {
    /// The text is not a PCI address.
    #[error(transparent)]
    BadBdf(#[from] BadBdf),
    /// No such device.
    #[error("there is no PCI device {0}; `lspci -D` lists all of them")]
    NoDevice(Bdf),
    /// The device has no driver, or one that does not offer it through VFIO.
    #[error(
        "{bdf} is {}, not bound to a vfio driver; as root: echo vfio-pci \
         >/sys/bus/pci/devices/{bdf}/driver_override; {}echo {bdf} >/sys/bus/pci/drivers_probe",
        match .driver { Some(driver) => format!("bound to {driver}"), None => "unbound".into() },
        match .driver {
            Some(_) => format!("echo {} >/sys/bus/pci/devices/{}/driver/unbind; ", .bdf, .bdf),
            None => String::new(),
        }
    )]
    NotVfio {
        /// The device.
        bdf: Bdf,
        /// The driver that has it.
        driver: Option<String>,
    },
    /// The device is not behind an IOMMU.
    #[error(
        "{0} has no IOMMU group; turn the IOMMU on in the firmware and boot with intel_iommu=on \
         or amd_iommu=on"
    )]
    NoIommu(Bdf),
    /// VFIO has no driver for the IOMMU of this machine.
    #[error("VFIO has no type1 IOMMU driver for {0}; load it with: modprobe vfio_iommu_type1")]
    NoType1(Bdf),
    /// The kernel has no VFIO.
    #[error("{path} does not exist ({errno}); load VFIO with: modprobe vfio-pci")]
    NoVfio {
        /// The missing file.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// The device has no cdev.
    #[error(
        "{bdf} has no device node under /dev/vfio/devices ({errno}): this kernel's VFIO is built \
         without VFIO_DEVICE_CDEV; leave --via out to use its group"
    )]
    NoCdev {
        /// The device.
        bdf: Bdf,
        /// Why.
        errno: Errno,
    },
    /// The file may not be opened.
    #[error("opening {path} is not allowed ({errno}); run as root, or as the owner of {path}")]
    Denied {
        /// The file.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// Another process has the device open.
    #[error("{what} is busy ({errno}): held by {holders}; end that process first")]
    Busy {
        /// The group or the device.
        what: String,
        /// The errno of the kernel.
        errno: Errno,
        /// The holders that /proc shows.
        holders: String,
    },
    /// A device of the group is bound to a host driver.
    #[error(
        "group {group} of {bdf} is not viable: {others} must be bound to a vfio driver as well, \
         or be unbound"
    )]
    NotViable {
        /// The device.
        bdf: Bdf,
        /// The IOMMU group.
        group: u32,
        /// The devices that prevent it, with their drivers.
        others: String,
    },
    /// A call failed.
    #[error("{call} on {on} failed: {errno}{}{hint}", if .hint.is_empty() { "" } else { "; " })]
    Call {
        /// The request, by its uAPI name.
        call: &'static str,
        /// The device, with the part of it.
        on: String,
        /// Why.
        errno: Errno,
        /// The remedy; may be empty.
        hint: &'static str,
    },
    /// An answer is malformed.
    #[error("{call} on {on}: the driver's answer is malformed: {error}")]
    Malformed {
        /// The request, by its uAPI name.
        call: &'static str,
        /// The device, with the part of it.
        on: String,
        /// Why.
        error: ChainError,
    },
    /// Every answer needs a larger buffer than the last.
    #[error(
        "{call} on {on}: the answer did not settle: argsz grew from {from} to {to} between calls"
    )]
    Unsettled {
        /// The request, by its uAPI name.
        call: &'static str,
        /// The device, with the part of it.
        on: String,
        /// Bytes that the second-last answer needed.
        from: u32,
        /// Bytes that the last answer needed.
        to: u32,
    },
}

impl Error {
    /// A failed call, without a remedy.
    pub fn call(call: &'static str, on: impl Into<String>, error: &io::Error) -> Self {
        Self::Call {
            call,
            on: on.into(),
            errno: Errno::of(error),
            hint: "",
        }
    }

    /// The errno, where a call of the kernel failed.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { errno, .. }
            | Self::Denied { errno, .. }
            | Self::NoVfio { errno, .. }
            | Self::NoCdev { errno, .. }
            | Self::Busy { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether there is no such index: vfio-pci answers `EINVAL` for some.
    pub fn is_absent(&self) -> bool {
        self.errno() == Some(Errno(libc::EINVAL))
    }
}
