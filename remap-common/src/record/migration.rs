//! The migration data fd.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Header;

/// A read or write of a migration data fd returned.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Data {
    /// The header.
    pub header: Header,
    /// The device; 0 if it is not known.
    pub device: u64,
    /// Address of the file.
    pub file: u64,
    /// When it began, CLOCK_MONOTONIC ns.
    pub begin_ns: u64,
    /// Bytes asked for.
    pub requested: u64,
    /// Bytes moved, or minus the errno.
    pub result: i64,
    /// 1 for a write.
    pub write: u32,
    /// Zero.
    pub reserved: u32,
}

/// `VFIO_MIG_GET_PRECOPY_INFO` returned.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PrecopyInfo {
    /// The header.
    pub header: Header,
    /// The device; 0 if it is not known.
    pub device: u64,
    /// Address of the file.
    pub file: u64,
    /// When it began, CLOCK_MONOTONIC ns.
    pub begin_ns: u64,
    /// 0, or minus the errno.
    pub result: i64,
    /// `initial_bytes`; valid if `bytes_known` is 1.
    pub initial_bytes: u64,
    /// `dirty_bytes`; likewise.
    pub dirty_bytes: u64,
    /// 1 if they were read.
    pub bytes_known: u32,
    /// Zero.
    pub reserved: u32,
}
