//! Groups and device nodes.

use remap_common::{layout::ABSENT, record::UNKNOWN_NUMBER};

use super::{private_of, read_text, word};

/// The `struct vfio_group` that an inode is the node of.
#[inline(always)]
pub fn group_of_inode(inode: u64) -> Option<u64> {
    let member = layout!(group_cdev);
    let cdev: u64 = word(inode, layout!(inode_cdev))?;
    if cdev == 0 || member == ABSENT {
        return None;
    }
    Some(cdev - u64::from(member))
}

/// The number of a group: that of its IOMMU group, or, since a group loses that with its last device
/// (3dd59a7dcb97, v6.1), that in its node's name.
#[inline(always)]
pub fn group_number(group: u64) -> u32 {
    if let Some(iommu_group @ 1..) = word::<u64>(group, layout!(group_iommu_group))
        && let Some(number) = word(iommu_group, layout!(iommu_group_id))
    {
        return number;
    }
    word::<u64>(group, layout!(group_name)).map_or(UNKNOWN_NUMBER, number_at_the_end)
}

/// The longest name of a group's node: `noiommu-` and a number.
const NAME: usize = 20;

/// The number that a name ends with.
#[inline(always)]
fn number_at_the_end(text: u64) -> u32 {
    let mut name = [0u8; NAME];
    if !read_text(text, &mut name) {
        return UNKNOWN_NUMBER;
    }
    let mut number = UNKNOWN_NUMBER;
    for byte in name {
        match byte {
            0 => break,
            b'0'..=b'9' if number == UNKNOWN_NUMBER => number = u32::from(byte - b'0'),
            b'0'..=b'9' => number = number.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')),
            _ => number = UNKNOWN_NUMBER,
        }
    }
    number
}

/// The number of a device's own node.
#[inline(always)]
pub fn device_number(device: u64) -> u32 {
    word(device, layout!(vfio_device_index)).unwrap_or(UNKNOWN_NUMBER)
}

/// Whether a device file was opened through the device's own node, and not through a group.
#[inline(always)]
pub fn is_of_own_node(file: u64) -> bool {
    let Some(device_file) = private_of(file) else {
        return false;
    };
    word::<u64>(device_file, layout!(device_file_group)) == Some(0)
}
