//! Where lost records are placed: which device they are about, what they can have been, and when the
//! last was lost. The programs write it; user space maps it and compares it with what it read last.
//!
//! ```text
//! the device of each slot │ CPU 0: slot 0, slot 1, …  │ CPU 1: slot 0, …
//!                           a count for each kind, and behind them the time of the last loss
//! ```

use crate::record::LostKind;

/// Devices that are distinguished. Slot 0 is for losses whose device is not known, and for those of more
/// devices than there are slots.
pub const SLOTS: u32 = 32;

/// Words of one slot.
pub const SLOT_WORDS: u32 = 8;

/// The word of a slot with the time of its last loss (CLOCK_MONOTONIC ns).
pub const LAST_NS: u32 = SLOT_WORDS - 1;

const _: () = assert!((LostKind::Other as u32) < LAST_NS);

/// Words in all, for so many CPUs.
pub const fn words(cpus: u32) -> u32 {
    SLOTS + cpus * SLOTS * SLOT_WORDS
}

/// The first word of a CPU's slot.
#[inline(always)]
pub const fn slot_at(cpu: u32, slot: u32) -> u32 {
    SLOTS + (cpu * SLOTS + slot) * SLOT_WORDS
}
