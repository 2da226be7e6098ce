//! Groups, containers, device nodes, iommufds.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Header;

/// What a node is; the wire carries the number.
pub mod node_kind {
    /// `/dev/vfio/N`.
    pub const GROUP: u32 = 1;
    /// `/dev/vfio/vfio`.
    pub const CONTAINER: u32 = 2;
    /// `/dev/vfio/devices/vfioN`.
    pub const CDEV: u32 = 3;
    /// `/dev/iommu`.
    pub const IOMMUFD: u32 = 4;
}

/// The number of a node that could not be read.
pub const UNKNOWN_NUMBER: u32 = u32::MAX;

/// A node was opened, or its last file closed.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Node {
    /// The header.
    pub header: Header,
    /// Address of its kernel object.
    pub key: u64,
    /// 0, or minus the errno, of an open.
    pub result: i64,
    /// One of [`node_kind`].
    pub node: u32,
    /// Its number (group, device node), or [`UNKNOWN_NUMBER`].
    pub number: u32,
    /// 1 for an open, 0 for a close.
    pub opened: u32,
    /// Zero.
    pub reserved: u32,
}

/// A device's file was made.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct DeviceFile {
    /// The header.
    pub header: Header,
    /// The device.
    pub device: u64,
    /// Address of the node's kernel object.
    pub key: u64,
    /// One of [`node_kind`]: through which it was made.
    pub node: u32,
    /// The node's number, or [`UNKNOWN_NUMBER`].
    pub number: u32,
    /// The fd; -1 where the open is of the device's own node.
    pub fd: i32,
    /// Zero.
    pub reserved: u32,
}
