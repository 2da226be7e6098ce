//! Groups and device nodes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ABSENT;

/// Where nodes say their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NodeLayout {
    /// `struct inode.i_cdev`.
    pub inode_cdev: u32,
    /// `struct vfio_group.cdev`.
    pub group_cdev: u32,
    /// `struct vfio_group.iommu_group`.
    pub group_iommu_group: u32,
    /// `struct vfio_group.dev.kobj.name`: the name of its node.
    pub group_name: u32,
    /// `struct iommu_group.id`.
    pub iommu_group_id: u32,
    /// `struct vfio_device_file.group`: null for a file of the device's own node. [`ABSENT`] where there
    /// are no such files.
    pub device_file_group: u32,
    /// `struct vfio_device.index`.
    pub vfio_device_index: u32,
}

impl NodeLayout {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        inode_cdev: ABSENT,
        group_cdev: ABSENT,
        group_iommu_group: ABSENT,
        group_name: ABSENT,
        iommu_group_id: ABSENT,
        device_file_group: ABSENT,
        vfio_device_index: ABSENT,
    };
}
