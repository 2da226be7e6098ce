//! Modules that are loaded or freed while the programs run.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a module's name with its final zero (`MODULE_NAME_LEN`).
pub const NAME_BYTES: usize = 56;

/// A module was loaded, or is being freed.
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Change {
    /// Its name, padded with zeros; all zeros if it could not be read.
    pub name: [u8; NAME_BYTES],
    /// 1 if it was loaded, 0 if it is being freed.
    pub loaded: u32,
}
