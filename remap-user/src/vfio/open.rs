//! From a PCI address to an open device: through its group and a type1 container, or through its
//! cdev and an iommufd.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use vfio_bindings::bindings::vfio::{
    VFIO_API_VERSION, VFIO_GROUP_FLAGS_VIABLE, VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU,
};

use super::bdf::BadBdf;
use super::device::{Access, Device};
use super::error::Error;
use super::ioctl;
use super::sysfs::{Bdf, Host, OtherDevice, name_holders};
use remap_core::event::Errno;

/// The container's file.
const CONTAINER: &str = "/dev/vfio/vfio";
/// The iommufd's file.
const IOMMUFD: &str = "/dev/iommu";

/// Which way a device is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Via {
    /// By its group if it has one, else by its cdev.
    #[default]
    Auto,
    /// By `/dev/vfio/N` and a type1 container.
    Group,
    /// By `/dev/vfio/devices/vfioN` and an iommufd.
    Cdev,
}

/// The file of an IOMMU group.
pub fn group_path(group: u32) -> PathBuf {
    PathBuf::from(format!("/dev/vfio/{group}"))
}

/// The files that can hold a device: its group, and its cdev.
pub fn paths(host: &Host, bdf: Bdf) -> Vec<PathBuf> {
    let group = host.group(bdf).map(group_path);
    group.into_iter().chain(host.cdev(bdf)).collect()
}

/// The same for a device that is no PCI device.
pub fn paths_of_other(device: &OtherDevice) -> Vec<PathBuf> {
    let group = device.group.map(group_path);
    group.into_iter().chain(device.cdev.clone()).collect()
}

/// Opens a device that is bound to a vfio driver.
///
/// # Errors
/// [`Error`]: each with a remedy.
pub fn open(host: &Host, bdf: Bdf, via: Via) -> Result<Device, Error> {
    let number = group_of(host, bdf)?;
    let cdev = host.cdev(bdf);
    match (via, cdev) {
        (Via::Cdev, None) => Err(Error::NoCdev {
            bdf,
            errno: Errno(libc::ENOENT),
        }),
        (Via::Cdev, Some(node)) => open_by_cdev(host, bdf, &node),
        (Via::Auto, Some(node)) if !group_path(number).exists() => open_by_cdev(host, bdf, &node),
        (Via::Auto | Via::Group, _) => open_by_group(host, bdf, number),
    }
}

fn open_by_cdev(host: &Host, bdf: Bdf, node: &Path) -> Result<Device, Error> {
    let iommufd = open_file(Path::new(IOMMUFD)).map_err(|error| match error {
        Error::NoVfio { path, errno } => Error::Call {
            call: "open",
            on: path,
            errno,
            hint: "load it with: modprobe iommufd",
        },
        other => other,
    })?;
    let file = open_file(node)?;
    let fail = |call, error: io::Error| Error::call(call, bdf.to_string(), &error);
    ioctl::bind_iommufd(file.as_fd(), iommufd.as_fd()).map_err(|error| {
        let holders = host.holders(&paths(host, bdf));
        // EINVAL: bound by another file (vfio_df_open); EBUSY: in use by its group.
        let others: Vec<_> = holders
            .into_iter()
            .filter(|holder| holder.pid != std::process::id())
            .collect();
        match error.raw_os_error() {
            Some(errno @ (libc::EINVAL | libc::EBUSY)) if !others.is_empty() => Error::Busy {
                what: bdf.to_string(),
                errno: Errno(errno),
                holders: name_holders(&others),
            },
            _ => fail("DEVICE_BIND_IOMMUFD", error),
        }
    })?;
    let pt = ioctl::ioas_alloc(iommufd.as_fd())
        .map_err(|error| Error::call("IOMMU_IOAS_ALLOC", IOMMUFD, &error))?;
    ioctl::attach_iommufd_pt(file.as_fd(), pt)
        .map_err(|error| fail("DEVICE_ATTACH_IOMMUFD_PT", error))?;
    Ok(Device::new(bdf, file, Access::Cdev { iommufd }))
}

fn open_by_group(host: &Host, bdf: Bdf, number: u32) -> Result<Device, Error> {
    let container = open_container()?;
    let group = open_group(host, bdf, number)?;
    let flags = ioctl::group_status(group.as_fd())
        .map_err(|error| Error::call("GROUP_GET_STATUS", group_name(bdf, number), &error))?;
    if flags & VFIO_GROUP_FLAGS_VIABLE == 0 {
        return Err(Error::NotViable {
            bdf,
            group: number,
            others: in_the_way(host, number),
        });
    }
    ioctl::set_container(group.as_fd(), container.as_fd())
        .map_err(|error| Error::call("GROUP_SET_CONTAINER", group_name(bdf, number), &error))?;
    set_type1(&container, bdf)?;
    let name = CString::new(bdf.to_string()).map_err(|_| BadBdf(bdf.to_string()))?;
    let device = ioctl::device_fd(group.as_fd(), &name).map_err(|error| Error::Call {
        call: "GROUP_GET_DEVICE_FD",
        on: bdf.to_string(),
        errno: Errno::of(&error),
        hint: "see the kernel's log for the driver's reason",
    })?;
    Ok(Device::new(
        bdf,
        device.into(),
        Access::Group { group, container },
    ))
}

/// A device that another process has opened, by the fd that this process inherited. The fd is
/// duplicated: the inherited one stays open.
///
/// # Errors
/// `EBADF` if there is no such fd, `ENOTTY` if it is not a VFIO device.
pub fn inherited(bdf: Bdf, fd: i32) -> Result<Device, Error> {
    let file = ioctl::adopt_inherited(fd)
        .map_err(|error| Error::call("dup", format!("inherited fd {fd}"), &error))?;
    let device = Device::new(bdf, file, Access::Inherited);
    device.info()?;
    Ok(device)
}

/// The group of a device, if sysfs shows nothing against opening it.
fn group_of(host: &Host, bdf: Bdf) -> Result<u32, Error> {
    if !host.has_device(bdf) {
        return Err(Error::NoDevice(bdf));
    }
    if !host.is_vfio(bdf) {
        return Err(Error::NotVfio {
            bdf,
            driver: host.driver(bdf),
        });
    }
    let group = host.group(bdf).ok_or(Error::NoIommu(bdf))?;
    if host.is_noiommu(group) {
        Err(Error::NoIommu(bdf))
    } else {
        Ok(group)
    }
}

fn open_container() -> Result<File, Error> {
    let container = open_file(Path::new(CONTAINER))?;
    match ioctl::api_version(container.as_fd()) {
        Ok(version) if u32::try_from(version) == Ok(VFIO_API_VERSION) => Ok(container),
        Ok(_) => Err(Error::Call {
            call: "GET_API_VERSION",
            on: CONTAINER.to_owned(),
            errno: Errno(libc::EPROTO),
            hint: "the VFIO API of this kernel does not have version 0",
        }),
        Err(error) => Err(Error::call("GET_API_VERSION", CONTAINER, &error)),
    }
}

fn open_group(host: &Host, bdf: Bdf, number: u32) -> Result<File, Error> {
    let path = group_path(number);
    open_file(&path).map_err(|error| match error.errno() {
        Some(errno @ Errno(libc::EBUSY)) => Error::Busy {
            what: group_name(bdf, number),
            errno,
            holders: name_holders(&host.holders(&paths(host, bdf))),
        },
        _ => error,
    })
}

fn open_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| {
            let errno = Errno::of(&error);
            let path = path.display().to_string();
            match errno.0 {
                libc::EACCES | libc::EPERM => Error::Denied { path, errno },
                libc::ENOENT | libc::ENODEV | libc::ENXIO => Error::NoVfio { path, errno },
                _ => Error::call("open", path, &error),
            }
        })
}

/// Sets a type1 IOMMU for the container; version 2 if the kernel has it.
fn set_type1(container: &File, bdf: Bdf) -> Result<(), Error> {
    let fd = container.as_fd();
    let fail = |call| {
        move |error: io::Error| Error::Call {
            call,
            on: CONTAINER.to_owned(),
            errno: Errno::of(&error),
            hint: match error.raw_os_error() {
                Some(libc::EPERM) => {
                    "the IOMMU cannot remap interrupts; turn it on in the firmware, or load \
                 vfio_iommu_type1 with allow_unsafe_interrupts=1"
                }
                _ => "is vfio_iommu_type1 loaded?",
            },
        }
    };
    for model in [VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_IOMMU] {
        if ioctl::has_extension(fd, model).map_err(fail("CHECK_EXTENSION"))? {
            return ioctl::set_iommu(fd, model).map_err(fail("SET_IOMMU"));
        }
    }
    Err(Error::NoType1(bdf))
}

/// The devices that make a group not viable.
fn in_the_way(host: &Host, group: u32) -> String {
    let others: Vec<String> = host
        .group_devices(group)
        .into_iter()
        .filter(|bdf| !host.is_vfio(*bdf))
        .filter_map(|bdf| Some(format!("{bdf} ({})", host.driver(bdf)?)))
        .collect();
    if others.is_empty() {
        "another device".to_owned()
    } else {
        others.join(", ")
    }
}

fn group_name(bdf: Bdf, group: u32) -> String {
    format!("group {group} of {bdf}")
}
