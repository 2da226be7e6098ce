//! What the programs are to do: user space sets it.
#![expect(unsafe_code, reason = "a map value is read through a raw pointer")]

use aya_ebpf::{macros::map, maps::Array};
use remap_common::phase::{ENDED, OPEN};

/// One of the values of [`remap_common::phase`].
#[map]
static PHASE: Array<u32> = Array::with_max_entries(1, 0);

/// Whether every hook is in place: from then on each entry of a call is followed by its return.
#[inline(always)]
pub fn is_open() -> bool {
    phase() == Some(OPEN)
}

/// Whether the trace has ended, and nothing is recorded any more.
#[inline(always)]
pub fn has_ended() -> bool {
    phase() == Some(ENDED)
}

#[inline(always)]
fn phase() -> Option<u32> {
    // SAFETY: an aligned word that lives as long as the programs.
    PHASE
        .get_ptr(0)
        .map(|phase| unsafe { phase.read_volatile() })
}
