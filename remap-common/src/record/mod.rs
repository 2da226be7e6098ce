//! The wire records: what a program sends to user space, in host byte order, without padding.
//!
//! ```text
//! Header │ the struct of the kind │ of some kinds an array that is filled in place
//! ```
//!
//! [`table`] declares each kind once. From that follow the struct, its number, [`parse`], and the
//! description of every field ([`KINDS`]).

#[macro_use]
mod define;
#[macro_use]
mod number;

mod enumeration;
mod field;
mod table;
#[cfg(test)]
mod tests;

pub use enumeration::{Cause, DmaKind, LostKind, NodeKind, Origin, Role, Tristate};
pub use field::{Field, Kind, Unit};
pub use number::{Enumeration, Wire};
pub use table::*;

use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Bytes of an ioctl's argument that are captured at its entry.
pub const ARGUMENT_BYTES: usize = 64;
/// Bytes of an ioctl's argument that are captured at its return.
pub const ANSWER_BYTES: usize = 512;
/// Bytes of a device's or driver's name that are captured, with the zero at its end. A UUID has 36
/// characters.
pub const NAME_BYTES: usize = 64;
/// The IRQ index of a target whose index is not known, or that has none.
pub const UNKNOWN_INDEX: u32 = u32::MAX;
/// The number of a node that could not be read.
pub const UNKNOWN_NUMBER: u32 = u32::MAX;
/// What a fault populates, where neither an order nor the size of the mapping gives it.
pub const UNKNOWN_SIZE: u64 = u64::MAX;

/// A struct of the table.
pub trait Record: Copy + 'static {
    /// The number of the kind.
    const KIND: u32;
    /// What follows the struct and is filled in place, because it is too large for a program's
    /// stack; `()` for most kinds.
    type Trail: 'static;
    /// Where in its frame it has kernel addresses.
    const ADDRESSES: [Option<usize>; field::MOST_ADDRESSES];
}

/// What a record of one kind is converted to; see [`RecordRef::convert`].
pub trait FromRecord<T: Record>: Sized {
    /// Converts it; `None` if a number in it is not known.
    fn from_record(record: &T, trail: &T::Trail) -> Option<Self>;
}

/// A record as it lies in the ring.
#[repr(C)]
pub struct Frame<T: Record> {
    /// What every record begins with.
    pub header: Header,
    /// The struct of the kind.
    pub body: T,
    /// What follows it.
    pub trail: T::Trail,
}

/// The bytes are shorter than the struct of their kind, or not aligned to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

impl core::fmt::Display for Truncated {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the record is cut off")
    }
}

impl core::error::Error for Truncated {}

/// Takes a struct from the front of the bytes.
fn take<'a, T: FromBytes + KnownLayout + Immutable>(
    bytes: &mut &'a [u8],
) -> Result<&'a T, Truncated> {
    let (front, rest) = T::ref_from_prefix(bytes).map_err(|_| Truncated)?;
    *bytes = rest;
    Ok(front)
}
