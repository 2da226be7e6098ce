//! Calls on a device's file that began before the trace.

use super::Call;

/// A system call on a device's file, of those that can last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EarlyCall {
    /// ioctl(2).
    Ioctl(Call),
    /// pread(2) of a region.
    Read {
        /// Region index.
        region: u32,
    },
    /// pwrite(2) to a region: a legacy state change where it is the migration region's.
    Write {
        /// Region index.
        region: u32,
    },
}
