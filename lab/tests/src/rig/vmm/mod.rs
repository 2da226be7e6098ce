//! A program that uses devices as a VMM does: one container, and a group and a device file for each
//! device. It records what it does in a ledger.

pub mod assigned;
pub mod edu;
pub mod node;
pub mod sys;

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use remap_user::vfio::sysfs::Bdf;
use vfio_bindings::bindings::vfio::VFIO_TYPE1v2_IOMMU;

use crate::rig::judge::ledger::Ledger;
use assigned::Assigned;

/// Stands in the ledger in place of a device.
const NO_DEVICE: &str = "-";

/// The container, for devices to be assigned to.
pub struct Vmm<'a> {
    container: File,
    ledger: &'a Ledger,
    has_iommu: bool,
}

/// Opens a device node, for reading and writing.
pub fn open(path: impl AsRef<Path>) -> Result<File> {
    let path = path.as_ref();
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}

/// Does something with one device, and closes it.
pub fn with(
    ledger: &Ledger,
    bdf: Bdf,
    act: impl FnOnce(&Vmm<'_>, &mut Assigned<'_>) -> Result<()>,
) -> Result<()> {
    let mut vmm = Vmm::new(ledger)?;
    let mut device = vmm.assign(bdf)?;
    act(&vmm, &mut device)?;
    device.close()?;
    vmm.close();
    Ok(())
}

impl<'a> Vmm<'a> {
    /// Opens a container.
    pub fn new(ledger: &'a Ledger) -> Result<Self> {
        let container = open("/dev/vfio/vfio")?;
        ledger.add(NO_DEVICE, "open container: ok");
        Ok(Self {
            container,
            ledger,
            has_iommu: false,
        })
    }

    /// Opens a device that is alone in its group.
    pub fn assign(&mut self, bdf: Bdf) -> Result<Assigned<'a>> {
        let link = format!("/sys/bus/pci/devices/{bdf}/iommu_group");
        let number = std::fs::read_link(&link).with_context(|| format!("reading {link}"))?;
        let number = number.file_name().context("no group")?.to_string_lossy();
        let group = open(format!("/dev/vfio/{number}"))?;
        self.ledger
            .add(NO_DEVICE, format_args!("open group {number}: ok"));
        sys::set_container(group.as_fd(), self.container.as_fd()).context("SET_CONTAINER")?;
        if !std::mem::replace(&mut self.has_iommu, true) {
            sys::set_iommu(self.container.as_fd(), VFIO_TYPE1v2_IOMMU).context("SET_IOMMU")?;
        }
        let device = sys::device_fd(group.as_fd(), &bdf.to_string()).context("GET_DEVICE_FD")?;
        self.ledger.add(bdf, format_args!("file of group {number}"));
        Assigned::new(bdf, device, group, number.into_owned(), self.ledger)
    }

    /// Maps memory, or a mapping of a region, for the devices.
    pub fn map_dma(&self, address: usize, iova: u64, size: u64) -> Result<()> {
        sys::map_dma(self.container.as_fd(), address, iova, size).context("MAP_DMA")?;
        self.ledger
            .add(NO_DEVICE, format_args!("dma map {iova:#x}+{size:#x}: ok"));
        Ok(())
    }

    /// Unmaps an existing DMA mapping.
    pub fn unmap_dma(&self, iova: u64, size: u64) -> Result<()> {
        let done = sys::unmap_dma(self.container.as_fd(), Some((iova, size)));
        ensure!(done.context("UNMAP_DMA")? == size, "another size");
        self.ledger
            .add(NO_DEVICE, format_args!("dma unmap {iova:#x}+{size:#x}: ok"));
        Ok(())
    }

    /// Unmaps every DMA mapping: `size` bytes in all.
    pub fn unmap_all_dma(&self, size: u64) -> Result<()> {
        let done = sys::unmap_dma(self.container.as_fd(), None);
        ensure!(done.context("UNMAP_DMA")? == size, "another size");
        self.ledger
            .add(NO_DEVICE, format_args!("dma unmap_all 0x0+{size:#x}: ok"));
        Ok(())
    }

    /// Records that the process's end or execve will close the container.
    pub fn left_behind(&self) {
        self.ledger.add(NO_DEVICE, "close container");
    }

    /// Closes the container, whose groups are closed already.
    pub fn close(self) {
        drop(self.container);
        self.ledger.add(NO_DEVICE, "close container");
    }
}
