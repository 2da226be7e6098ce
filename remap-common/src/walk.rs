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

/// A device that the walk has found.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Met {
    /// The parent device's name, padded with zeros; all zeros if it could not be read.
    pub name: [u8; NAME_BYTES],
    /// One of [`interrupts`].
    pub interrupts: u32,
}
