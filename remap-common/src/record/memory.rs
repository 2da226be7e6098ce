//! Faults, zaps, config space, and mappings for DMA.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Header;

/// What a fault populates, where neither an order nor the whole mapping says it.
pub const UNKNOWN_SIZE: u64 = u64::MAX;

/// In which call a zap happened; the wire carries the number.
pub mod cause {
    /// In none that is traced.
    pub const UNKNOWN: u32 = 0;
    /// An ioctl: `detail` is its request, `value` the flags of a `VFIO_DEVICE_FEATURE`.
    pub const IOCTL: u32 = 1;
    /// A write to config space: `detail` is the offset, `value` what was written.
    pub const CONFIG_WRITE: u32 = 2;
    /// A write to the legacy migration region's word.
    pub const STATE_WRITE: u32 = 3;
}

/// What was done to a mapping for DMA; the wire carries the number.
pub mod dma {
    /// Made.
    pub const MAP: u32 = 1;
    /// A range of it ended.
    pub const UNMAP: u32 = 2;
    /// All of the address space ended.
    pub const UNMAP_ALL: u32 = 3;
}

/// A fault on a mapped region returned.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Fault {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// Offset in the device file, bytes.
    pub offset: u64,
    /// Address in the process.
    pub address: u64,
    /// When it began, CLOCK_MONOTONIC ns.
    pub begin_ns: u64,
    /// How much was populated, bytes, if it was; [`UNKNOWN_SIZE`] if that is unknown.
    pub size: u64,
    /// What the handler returned (`vm_fault_t`).
    pub result: u32,
    /// 1 if the thread is inside a call on a container or an iommufd: the kernel itself wants it.
    pub for_dma: u32,
}

/// The pages of a part of the device file are taken out of every mapping.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Zap {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// Offset in the device file, bytes.
    pub offset: u64,
    /// Length, bytes; 0 for all behind the offset.
    pub size: u64,
    /// One of [`cause`].
    pub cause: u32,
    /// See [`cause`].
    pub detail: u32,
    /// See [`cause`]; valid if `value_known` is 1.
    pub value: u32,
    /// 1 if `value` was read.
    pub value_known: u32,
}

/// A write to config space returned.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ConfigWrite {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// Offset in config space, bytes.
    pub offset: u64,
    /// When it began, CLOCK_MONOTONIC ns.
    pub begin_ns: u64,
    /// Bytes written, or minus the errno.
    pub result: i64,
    /// The first bytes; valid if `value_known` is 1.
    pub value: u32,
    /// 1 if `value` was read.
    pub value_known: u32,
}

/// An ioctl of a container or an iommufd about a mapping for DMA returned.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Dma {
    /// The header.
    pub header: Header,
    /// Address of the container or iommufd.
    pub node: u64,
    /// First address on the device's side.
    pub iova: u64,
    /// Length, bytes.
    pub size: u64,
    /// Address in the process; for [`dma::MAP`].
    pub vaddr: u64,
    /// When it began, CLOCK_MONOTONIC ns.
    pub begin_ns: u64,
    /// 0, or minus the errno.
    pub result: i64,
    /// One of [`dma`].
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}
