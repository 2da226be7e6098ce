//! The filters that keep events of other processes and files cheap: flags in the programs' global
//! data.
//!
//! A set flag means "maybe of a VFIO device" and costs a map lookup; a clear one means "of no VFIO
//! device" and ends the program. Flags are never cleared while the programs are loaded: a stale one
//! only costs that lookup. A flag is a byte, not a bit, because setting a byte needs no atomic
//! read-modify-write.

/// The eventfd filter has two to this power flags.
pub const CONTEXT_BITS: u32 = 16;
/// The process filter has two to this power flags.
pub const PROCESS_BITS: u32 = 12;
/// The filter of inode mappings (`struct address_space`) has two to this power flags.
pub const INODE_MAPPING_BITS: u32 = 12;

/// Spreads a key over `2^bits` flags (Fibonacci hashing): the index of its flag.
#[inline(always)]
pub const fn slot(key: u64, bits: u32) -> u32 {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as u32
}
