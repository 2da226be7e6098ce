//! The calls that threads are in: maps of the programs that user space looks at when a trace ends.

/// A map from a thread (tgid in the upper half, tid in the lower) to the call that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The map's name in the object.
    pub map: &'static str,
    /// Size of a value, bytes.
    pub bytes: usize,
    /// The system calls in which a thread may be in such a call (x86_64); none if any will do.
    pub syscalls: &'static [i64],
}

const READ: i64 = 0;
const WRITE: i64 = 1;
const OPEN: i64 = 2;
const MMAP: i64 = 9;
const IOCTL: i64 = 16;
const PWRITE: i64 = 18;
const READV: i64 = 19;
const WRITEV: i64 = 20;
const SENDFILE: i64 = 40;
const IO_SUBMIT: i64 = 209;
const OPENAT: i64 = 257;
const SPLICE: i64 = 275;
const PREADV: i64 = 295;
const PWRITEV: i64 = 296;
const PREADV2: i64 = 327;
const PWRITEV2: i64 = 328;
const IO_URING_ENTER: i64 = 426;
const OPENAT2: i64 = 437;

/// Device ioctls.
pub const IOCTLS: UnderWay = UnderWay {
    map: "IOCTLS",
    bytes: 120,
    syscalls: &[IOCTL, IO_URING_ENTER],
};
/// Mappings that are made.
pub const MMAPS: UnderWay = UnderWay {
    map: "MMAPS",
    bytes: 32,
    syscalls: &[MMAP],
};
/// Writes to config space and to device_state.
pub const REGION_WRITES: UnderWay = UnderWay {
    map: "REGION_WRITES",
    bytes: 32,
    syscalls: &[
        WRITE,
        PWRITE,
        WRITEV,
        PWRITEV,
        PWRITEV2,
        SENDFILE,
        IO_SUBMIT,
        SPLICE,
        IO_URING_ENTER,
    ],
};
/// Writes to eventfds.
pub const EVENTFD_WRITES: UnderWay = UnderWay {
    map: "EVENTFD_WRITES",
    bytes: 56,
    syscalls: &[WRITE, WRITEV, IO_SUBMIT, SPLICE, IO_URING_ENTER],
};
/// Reads of eventfds.
pub const EVENTFD_READS: UnderWay = UnderWay {
    map: "EVENTFD_READS",
    bytes: 16,
    syscalls: &[READ, READV, PREADV, PREADV2, IO_SUBMIT, IO_URING_ENTER],
};
/// Faults: in whatever a thread does.
pub const FAULTS: UnderWay = UnderWay {
    map: "FAULTS",
    bytes: 56,
    syscalls: &[],
};
/// Opens of nodes, and ioctls on them.
pub const NODE_CALLS: UnderWay = UnderWay {
    map: "NODE_CALLS",
    bytes: 48,
    syscalls: &[OPEN, OPENAT, OPENAT2, IOCTL, IO_URING_ENTER],
};
/// Calls on migration data files.
pub const DATA_CALLS: UnderWay = UnderWay {
    map: "DATA_CALLS",
    bytes: 48,
    syscalls: &[
        READ,
        WRITE,
        IOCTL,
        READV,
        WRITEV,
        SENDFILE,
        IO_SUBMIT,
        SPLICE,
        IO_URING_ENTER,
    ],
};
