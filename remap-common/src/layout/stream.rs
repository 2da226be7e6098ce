//! Files: how an fd leads to one, and what it is.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ABSENT;

/// Where a task keeps its files, and what a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct StreamLayout {
    /// `struct files_struct.fdt`.
    pub files_fdt: u32,
    /// `struct fdtable.max_fds`.
    pub fdtable_max: u32,
    /// `struct fdtable.fd`.
    pub fdtable_fd: u32,
    /// `struct file.f_inode`.
    pub file_inode: u32,
    /// `struct inode.i_sb`.
    pub inode_superblock: u32,
    /// `struct super_block.s_magic`.
    pub superblock_magic: u32,
    /// `struct file_operations.read`.
    pub operations_read: u32,
    /// `struct file_operations.write`.
    pub operations_write: u32,
    /// `struct file_operations.unlocked_ioctl`.
    pub operations_ioctl: u32,
}

impl StreamLayout {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        files_fdt: ABSENT,
        fdtable_max: ABSENT,
        fdtable_fd: ABSENT,
        file_inode: ABSENT,
        inode_superblock: ABSENT,
        superblock_magic: ABSENT,
        operations_read: ABSENT,
        operations_write: ABSENT,
        operations_ioctl: ABSENT,
    };
}
