//! PCI devices, their drivers, groups and holders, from sysfs and /proc.

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use super::bdf::Bdf;
use remap_core::printable::from_bytes;

/// A process that has a device open.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Its command name, at most 15 bytes.
    pub comm: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.comm, self.pid)
    }
}

/// The names of `holders`, or a phrase if none could be found.
pub fn name_holders(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "a process that this user cannot see".to_owned();
    }
    holders
        .iter()
        .map(Holder::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A view of sysfs and /proc. Reads them at each call; caches nothing.
#[derive(Clone, Debug)]
pub struct Host {
    sys: PathBuf,
    proc: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self::at("/sys", "/proc")
    }
}

impl Host {
    /// A view of other directories than /sys and /proc.
    pub fn at(sys: impl Into<PathBuf>, proc: impl Into<PathBuf>) -> Self {
        Self {
            sys: sys.into(),
            proc: proc.into(),
        }
    }

    fn device(&self, bdf: Bdf) -> PathBuf {
        self.sys.join("bus/pci/devices").join(bdf.to_string())
    }

    /// Whether there is such a device.
    pub fn has_device(&self, bdf: Bdf) -> bool {
        self.device(bdf).exists()
    }

    /// The driver that a device is bound to.
    pub fn driver(&self, bdf: Bdf) -> Option<String> {
        link_name(&self.device(bdf).join("driver"))
    }

    /// Vendor and device id.
    pub fn ids(&self, bdf: Bdf) -> Option<(u16, u16)> {
        let id = |name| {
            let text = fs::read_to_string(self.device(bdf).join(name)).ok()?;
            u16::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
        };
        Some((id("vendor")?, id("device")?))
    }

    /// The number of a device's IOMMU group.
    pub fn group(&self, bdf: Bdf) -> Option<u32> {
        link_name(&self.device(bdf).join("iommu_group"))?
            .parse()
            .ok()
    }

    /// Whether a group is one that VFIO creates without an IOMMU.
    pub fn is_noiommu(&self, group: u32) -> bool {
        let name = self.sys.join(format!("kernel/iommu_groups/{group}/name"));
        fs::read_to_string(name).is_ok_and(|name| name.trim() == "vfio-noiommu")
    }

    /// The devices of a group.
    pub fn group_devices(&self, group: u32) -> Vec<Bdf> {
        names(
            &self
                .sys
                .join(format!("kernel/iommu_groups/{group}/devices")),
        )
    }

    /// Whether a device is offered through VFIO: by a `vfio-dev` directory (3c28a76124b2, 6.1),
    /// or, on older kernels, by a driver with a module that depends on VFIO.
    pub fn is_vfio(&self, bdf: Bdf) -> bool {
        let device = self.device(bdf);
        if device.join("vfio-dev").exists() {
            return true;
        }
        link_name(&device.join("driver/module")).is_some_and(|module| {
            module == "vfio_pci"
                || ["vfio_pci_core", "vfio"].iter().any(|core| {
                    self.sys
                        .join("module")
                        .join(core)
                        .join("holders")
                        .join(&module)
                        .exists()
                })
        })
    }

    /// The cdev of the device (`/dev/vfio/devices/vfioN`, since 8b6f173a4ce4, 6.6), if this kernel
    /// has one.
    pub fn cdev(&self, bdf: Bdf) -> Option<PathBuf> {
        let directory = self.device(bdf).join("vfio-dev");
        fs::read_dir(directory)
            .ok()?
            .flatten()
            .find(|entry| entry.path().join("dev").exists())
            .map(|entry| Path::new("/dev/vfio/devices").join(entry.file_name()))
    }

    /// Every device that is offered through VFIO.
    pub fn vfio_devices(&self) -> Vec<Bdf> {
        let mut devices: Vec<Bdf> = names(&self.sys.join("bus/pci/devices"));
        devices.retain(|bdf| self.is_vfio(*bdf));
        devices
    }

    /// Every device that is offered through VFIO and is no PCI device, such as an mdev: in
    /// `/sys/class/vfio-dev` since 3c28a76124b2, 6.1.
    pub fn other_devices(&self) -> Vec<OtherDevice> {
        let entries = fs::read_dir(self.sys.join("class/vfio-dev"));
        let mut devices: Vec<OtherDevice> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| other_device(&entry.path()))
            .collect();
        devices.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        devices
    }

    /// Whether a bus has a device of this name.
    pub fn is_device_name(&self, name: &str) -> bool {
        let buses = fs::read_dir(self.sys.join("bus"));
        let mut buses = buses.into_iter().flatten().flatten();
        let is_name = !matches!(name, "" | "." | "..") && !name.contains('/');
        is_name && buses.any(|bus| bus.path().join("devices").join(name).exists())
    }

    /// The processes that have one of `paths` open, of those that this user may see.
    pub fn holders(&self, paths: &[PathBuf]) -> Vec<Holder> {
        let mut holders = Vec::new();
        for pid in names::<u32>(&self.proc) {
            let process = self.proc.join(pid.to_string());
            let Ok(fds) = fs::read_dir(process.join("fd")) else {
                continue;
            };
            let holds = fds
                .flatten()
                .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| paths.contains(&to)));
            if holds {
                let comm = fs::read(process.join("comm")).unwrap_or_default();
                let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
                holders.push(Holder {
                    pid,
                    comm: from_bytes(comm),
                });
            }
        }
        holders
    }
}

/// A device that VFIO offers and that is no PCI device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherDevice {
    /// Its name on its bus.
    pub name: String,
    /// The driver that it is bound to.
    pub driver: Option<String>,
    /// The number of its IOMMU group.
    pub group: Option<u32>,
    /// Its cdev, where this kernel has one.
    pub cdev: Option<PathBuf>,
}

/// The device behind an entry of `/sys/class/vfio-dev`, if it is no PCI device.
fn other_device(entry: &Path) -> Option<OtherDevice> {
    let device = fs::canonicalize(entry.join("device")).ok()?;
    if link_name(&device.join("subsystem")).as_deref() == Some("pci") {
        return None;
    }
    let cdev = || Some(Path::new("/dev/vfio/devices").join(entry.file_name()?));
    Some(OtherDevice {
        name: from_bytes(device.file_name()?.as_bytes()),
        driver: link_name(&device.join("driver")),
        group: link_name(&device.join("iommu_group")).and_then(|group| group.parse().ok()),
        cdev: entry.join("dev").exists().then(cdev).flatten(),
    })
}

/// The last component of the target of a link.
fn link_name(link: &Path) -> Option<String> {
    Some(from_bytes(
        fs::read_link(link).ok()?.file_name()?.as_bytes(),
    ))
}

/// The entries of a directory with names that parse, in order; empty if it does not exist.
fn names<T: FromStr + Ord>(directory: &Path) -> Vec<T> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<T> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    names.sort_unstable();
    names
}
