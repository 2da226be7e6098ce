//! The result of a walk over the devices that were open before the trace.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::NAME_BYTES;

/// How far a walk found a device's interrupts; the map carries the number.
pub mod interrupts {
    /// All were read.
    pub const WALKED: u32 = 1;
    /// The driver does not build on `vfio_pci_core`, so the place of its eventfds is unknown.
    pub const ELSEWHERE: u32 = 2;
    /// A kernel structure could not be read.
    pub const UNREADABLE: u32 = 3;
}

/// What a thread is doing. User space inserts threads into the map `THREADS`, and runs `walk_threads`.
#[derive(Clone, Copy, Debug, Default, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Thread {
    /// One of [`thread`].
    pub state: u64,
    /// The number of its system call; -1 outside of one.
    pub number: i64,
    /// The arguments.
    pub arguments: [u64; 6],
    /// The stack pointer and the program counter of the caller.
    pub place: [u64; 2],
}

/// How a walk has found a thread; the map carries the number.
pub mod thread {
    /// The walk has not met it: it has exited.
    pub const ABSENT: u64 = 0;
    /// It runs, or it could not be read: its registers are not those of a system call.
    pub const UNKNOWN: u64 = 1;
    /// It is blocked, and the other fields are valid.
    pub const BLOCKED: u64 = 2;
    /// It has exited, and its process has not been waited for.
    pub const DEAD: u64 = 3;
}

/// A device that the walk has found.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Met {
    /// The parent device's name, padded with zeros; all zeros if it could not be read.
    pub name: [u8; NAME_BYTES],
    /// One of [`interrupts`].
    pub interrupts: u32,
}
