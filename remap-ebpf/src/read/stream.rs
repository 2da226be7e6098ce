//! Files: how an fd leads to one, and what it is.

use remap_common::uapi::ANON_INODE_FS_MAGIC;

use super::{operations_of, task, word};

/// The file behind an fd of the current task.
#[inline(always)]
pub fn file_of_fd(fd: i32) -> Option<u64> {
    let files: u64 = word(task::current(), layout!(task_files))?;
    let table: u64 = word(files, layout!(files_fdt))?;
    let max: u32 = word(table, layout!(fdtable_max_fds))?;
    if fd < 0 || fd as u32 >= max {
        return None;
    }
    let array: u64 = word(table, layout!(fdtable_fd))?;
    let file: u64 = word(array + fd as u64 * 8, 0)?;
    if file == 0 { None } else { Some(file) }
}

/// An operation of a file by its offset in `struct file_operations`.
#[derive(Clone, Copy)]
pub enum Operation {
    Read,
    Write,
    Ioctl,
}

/// Whether the kernel calls `handler` for this operation of this file, and the file has no name
/// in any file system, as a migration data file has none.
#[inline(always)]
pub fn is_handler_of(file: u64, operation: Operation, handler: u64) -> bool {
    let Some(operations) = operations_of(file) else {
        return false;
    };
    let member = match operation {
        Operation::Read => layout!(file_operations_read),
        Operation::Write => layout!(file_operations_write),
        Operation::Ioctl => layout!(file_operations_ioctl),
    };
    word::<u64>(operations, member) == Some(handler) && is_anonymous(file)
}

#[inline(always)]
fn is_anonymous(file: u64) -> bool {
    let Some(inode) = word::<u64>(file, layout!(file_inode)) else {
        return false;
    };
    let Some(superblock) = word::<u64>(inode, layout!(inode_sb)) else {
        return false;
    };
    word::<u64>(superblock, layout!(super_block_magic)) == Some(ANON_INODE_FS_MAGIC)
}
