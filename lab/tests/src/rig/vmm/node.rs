//! A device that is opened by its cdev, and an iommufd for its DMA. What it does is recorded in a
//! ledger.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};
use remap_core::event::Errno;
use remap_user::vfio::sysfs::{Bdf, Host};

use super::assigned::Assigned;
use super::{NO_DEVICE, open, sys};
use crate::rig::judge::ledger::Ledger;
use crate::rig::judge::sentence;

/// Such a device, and the number of its cdev.
pub struct ByNode<'a> {
    node: File,
    iommufd: File,
    ioas: u32,
    bdf: Bdf,
    number: String,
    ledger: &'a Ledger,
}

impl<'a> ByNode<'a> {
    /// Opens it, and attaches it to an IOAS.
    pub fn new(bdf: Bdf, ledger: &'a Ledger) -> Result<Self> {
        let iommufd = open("/dev/iommu")?;
        ledger.add(NO_DEVICE, "open iommufd: ok");
        let path = Host::default().cdev(bdf).context("no cdev")?;
        let name = path.file_name().context("no name")?.to_string_lossy();
        let number = name.trim_start_matches("vfio").to_owned();
        let node = open(&path)?;
        ledger.add(NO_DEVICE, format_args!("open cdev {number}: ok"));
        let driver = Host::default().driver(bdf).context("no driver")?;
        ledger.add(bdf, format_args!("device of {driver}, seen"));
        ledger.add(bdf, format_args!("file of cdev {number}"));
        sys::bind_iommufd(node.as_fd(), iommufd.as_fd()).context("BIND_IOMMUFD")?;
        ledger.call(bdf, "BIND_IOMMUFD", &Ok(()));
        let ioas = sys::ioas_alloc(iommufd.as_fd()).context("IOAS_ALLOC")?;
        sys::attach_pt(node.as_fd(), ioas).context("ATTACH_IOMMUFD_PT")?;
        ledger.call(bdf, "ATTACH_IOMMUFD_PT", &Ok(()));
        Ok(Self {
            node,
            iommufd,
            ioas,
            bdf,
            number,
            ledger,
        })
    }

    /// The device.
    pub fn device(&self) -> Result<Assigned<'a>> {
        Assigned::adopt(self.bdf, self.node.as_raw_fd(), self.ledger)
    }

    /// Maps memory for DMA; success or error is recorded.
    pub fn map(&self, address: usize, iova: u64, size: u64) {
        let done = sys::ioas_map(self.iommufd.as_fd(), self.ioas, address, iova, size);
        let result = sentence::outcome(&done.map_err(|error| Errno::of(&error)));
        self.ledger.add(
            NO_DEVICE,
            format_args!("dma map {iova:#x}+{size:#x}: {result}"),
        );
    }

    /// Unmaps an existing DMA mapping.
    pub fn unmap(&self, iova: u64, size: u64) -> Result<()> {
        sys::ioas_unmap(self.iommufd.as_fd(), self.ioas, iova, size).context("IOAS_UNMAP")?;
        self.ledger
            .add(NO_DEVICE, format_args!("dma unmap {iova:#x}+{size:#x}: ok"));
        Ok(())
    }

    /// Closes the cdev, and the iommufd.
    pub fn close(self) {
        let Self {
            node,
            iommufd,
            bdf,
            number,
            ledger,
            ..
        } = self;
        drop(node);
        ledger.add(bdf, "close");
        ledger.add(NO_DEVICE, format_args!("close cdev {number}"));
        drop(iommufd);
        ledger.add(NO_DEVICE, "close iommufd");
    }
}
