//! The calls that threads are in: the maps of the programs that user space reads when a trace
//! ends.

use crate::uapi::{
    SYS_IO_SUBMIT, SYS_IO_URING_ENTER, SYS_IOCTL, SYS_MMAP, SYS_OPEN, SYS_OPENAT, SYS_OPENAT2,
    SYS_PREADV, SYS_PREADV2, SYS_PWRITE64, SYS_PWRITEV, SYS_PWRITEV2, SYS_READ, SYS_READV,
    SYS_SENDFILE, SYS_SPLICE, SYS_WRITE, SYS_WRITEV,
};

/// A map from a thread (tgid in the upper half, tid in the lower) to the call that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// The map's name in the object.
    pub map: &'static str,
    /// Size of a value, bytes.
    pub bytes: usize,
    /// The system calls (x86_64) that make such a call; empty if it can happen during any.
    pub syscalls: &'static [i64],
}

/// Device ioctls.
pub const IOCTLS: InFlight = InFlight {
    map: "IOCTLS",
    bytes: 120,
    syscalls: &[SYS_IOCTL, SYS_IO_URING_ENTER],
};
/// mmap(2) of device files.
pub const MMAPS: InFlight = InFlight {
    map: "MMAPS",
    bytes: 32,
    syscalls: &[SYS_MMAP],
};
/// Writes to config space and to device_state.
pub const REGION_WRITES: InFlight = InFlight {
    map: "REGION_WRITES",
    bytes: 48,
    syscalls: &[
        SYS_WRITE,
        SYS_PWRITE64,
        SYS_WRITEV,
        SYS_PWRITEV,
        SYS_PWRITEV2,
        SYS_SENDFILE,
        SYS_IO_SUBMIT,
        SYS_SPLICE,
        SYS_IO_URING_ENTER,
    ],
};
/// Writes to eventfds.
pub const EVENTFD_WRITES: InFlight = InFlight {
    map: "EVENTFD_WRITES",
    bytes: 64,
    syscalls: &[
        SYS_WRITE,
        SYS_WRITEV,
        SYS_IO_SUBMIT,
        SYS_SPLICE,
        SYS_IO_URING_ENTER,
    ],
};
/// Reads of eventfds.
pub const EVENTFD_READS: InFlight = InFlight {
    map: "EVENTFD_READS",
    bytes: 16,
    syscalls: &[
        SYS_READ,
        SYS_READV,
        SYS_PREADV,
        SYS_PREADV2,
        SYS_IO_SUBMIT,
        SYS_IO_URING_ENTER,
    ],
};
/// Faults on device regions: during any system call, or outside of one.
pub const FAULTS: InFlight = InFlight {
    map: "FAULTS",
    bytes: 56,
    syscalls: &[],
};
/// open(2) and ioctl(2) of groups, containers and iommufds.
pub const NODE_CALLS: InFlight = InFlight {
    map: "NODE_CALLS",
    bytes: 48,
    syscalls: &[
        SYS_OPEN,
        SYS_OPENAT,
        SYS_OPENAT2,
        SYS_IOCTL,
        SYS_IO_URING_ENTER,
    ],
};
/// Calls on migration data files.
pub const DATA_CALLS: InFlight = InFlight {
    map: "DATA_CALLS",
    bytes: 48,
    syscalls: &[
        SYS_READ,
        SYS_WRITE,
        SYS_IOCTL,
        SYS_READV,
        SYS_WRITEV,
        SYS_SENDFILE,
        SYS_IO_SUBMIT,
        SYS_SPLICE,
        SYS_IO_URING_ENTER,
    ],
};
