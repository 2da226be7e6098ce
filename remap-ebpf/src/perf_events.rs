//! Passes records on to a BPF perf event array, for readers beside `remap trace`. Kernel addresses are
//! replaced by numbers on the way.
#![expect(
    unsafe_code,
    reason = "global data that the loader replaces; changes a record behind a raw pointer"
)]

use core::mem::MaybeUninit;

use aya_ebpf::{macros::map, maps::PerfEventByteArray};
use remap_common::{
    number::{self, Key},
    record::{Frame, Record},
};

use crate::run::Run;

/// A buffer of each reader's for each CPU; a CPU without one has no reader.
#[map]
static EVENTS: PerfEventByteArray = PerfEventByteArray::new(0);

/// 1 where records are passed on; otherwise the verifier removes all of this.
#[unsafe(no_mangle)]
static PERF_EVENTS: u32 = 0;

/// What the numbers of addresses depend on; random.
#[unsafe(no_mangle)]
static NUMBER_KEY: Key = [0; 2];

/// Whether records are passed on.
#[inline(always)]
pub fn are_on() -> bool {
    // SAFETY: a plain integer.
    unsafe { core::ptr::read_volatile(&raw const PERF_EVENTS) != 0 }
}

/// Overwrites what the ring's memory was used for before.
#[inline(always)]
pub fn clear<T>(trail: &mut MaybeUninit<T>) {
    for at in 0..size_of::<T>() / 8 {
        // SAFETY: within the trail, which lies behind structs of whole words.
        unsafe { trail.as_mut_ptr().cast::<u64>().add(at).write_volatile(0) };
    }
}

/// Passes a record on. A CPU without a reader is no loss, and the kernel reports to a reader what it did
/// not read in time.
#[inline(always)]
pub fn pass_on<T: Record>(run: Run, frame: *mut Frame<T>) {
    let first = hide(frame, const { T::ADDRESSES[0] });
    let second = hide(frame, const { T::ADDRESSES[1] });
    let third = hide(frame, const { T::ADDRESSES[2] });
    // SAFETY: the whole frame was written, and is this program's until it is submitted.
    let bytes = unsafe { core::slice::from_raw_parts(frame.cast::<u8>(), size_of::<Frame<T>>()) };
    EVENTS.output(&run, bytes, 0);
    show(frame, const { T::ADDRESSES[0] }, first);
    show(frame, const { T::ADDRESSES[1] }, second);
    show(frame, const { T::ADDRESSES[2] }, third);
}

/// Replaces the address at an offset by its number; returns the address.
#[inline(always)]
fn hide<T: Record>(frame: *mut Frame<T>, offset: Option<usize>) -> u64 {
    let Some(offset) = offset else {
        return 0;
    };
    // SAFETY: a word of the frame.
    unsafe {
        let word = frame.byte_add(offset).cast::<u64>();
        let address = word.read_volatile();
        word.write_volatile(numbered(address));
        address
    }
}

/// Puts an address back.
#[inline(always)]
fn show<T: Record>(frame: *mut Frame<T>, offset: Option<usize>, address: u64) {
    if let Some(offset) = offset {
        // SAFETY: as above.
        unsafe { frame.byte_add(offset).cast::<u64>().write_volatile(address) };
    }
}

/// The number of an address. Not inlined: a program may need it for several.
#[inline(never)]
fn numbered(address: u64) -> u64 {
    // SAFETY: plain integers.
    let key = unsafe { core::ptr::read_volatile(&raw const NUMBER_KEY) };
    number::of(&key, address)
}
