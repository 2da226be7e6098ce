//! What a walk over the devices that were open before the trace says about each.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::NAME_BYTES;

/// What became of a device's interrupts; the map carries the number.
pub mod interrupts {
    /// They were looked at, all that there are.
    pub const WALKED: u32 = 1;
    /// The device is none of `vfio_pci_core`, so that nobody knows where its driver keeps them.
    pub const ELSEWHERE: u32 = 2;
    /// A kernel structure could not be read.
    pub const UNREADABLE: u32 = 3;
}

/// A device that the walk has met.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Met {
    /// The parent device's name, padded with zeros; all zeros if it could not be read.
    pub name: [u8; NAME_BYTES],
    /// One of [`interrupts`].
    pub interrupts: u32,
}
