//! Groups and device nodes.

use remap_common::{layout::ABSENT, record::UNKNOWN_NUMBER};

use super::{private_of, word};

/// The `struct vfio_group` that an inode is the node of.
#[inline(always)]
pub fn group_of_inode(inode: u64) -> Option<u64> {
    let member = layout!(node.group_cdev);
    let cdev: u64 = word(inode, layout!(node.inode_cdev))?;
    if cdev == 0 || member == ABSENT {
        return None;
    }
    Some(cdev - u64::from(member))
}

/// The number of a group: that of its IOMMU group.
#[inline(always)]
pub fn group_number(group: u64) -> u32 {
    let Some(iommu_group) = word::<u64>(group, layout!(node.group_iommu_group)) else {
        return UNKNOWN_NUMBER;
    };
    word(iommu_group, layout!(node.iommu_group_id)).unwrap_or(UNKNOWN_NUMBER)
}

/// The number of a device's own node.
#[inline(always)]
pub fn device_number(device: u64) -> u32 {
    word(device, layout!(node.vfio_device_index)).unwrap_or(UNKNOWN_NUMBER)
}

/// Whether a device file was opened through the device's own node, and not through a group.
#[inline(always)]
pub fn is_of_own_node(file: u64) -> bool {
    let Some(device_file) = private_of(file) else {
        return false;
    };
    word::<u64>(device_file, layout!(node.device_file_group)) == Some(0)
}
