//! Traces `zap_vma_ptes` (mm/memory.c; in 7.x `zap_special_vma_range`): a part of one mapping loses
//! its pages. Before 6.10 (aac6db75a9fc) a device zaps its regions so, mapping by mapping.
//! Emits `Zap`, one for each mapping. Without it nobody sees why a region faults again there.
//!
//! The same kernels empty the copy of a mapping that fork or a split makes, in
//! `vfio_pci_mmap_open` (drivers/vfio/pci/vfio_pci_core.c): that is no zap of the region. Emits
//! nothing for it; without that hook each copy is told as a zap whose cause is unknown.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use remap_common::counter::Counter;

use super::{probed_argument, traced_argument};
use crate::{emit, filter, maps::COPIES, read, zap};

#[kprobe(function = "vfio_pci_mmap_open")]
pub fn vfio_mmap_open_kprobe(ctx: ProbeContext) -> u32 {
    if COPIES
        .insert(emit::thread(), probed_argument(&ctx, 0), 0)
        .is_err()
    {
        emit::lose(Counter::CallsFull);
    }
    0
}

/// Whether this is the zap of a copy, which comes at once; it is told once.
#[inline(always)]
#[expect(unsafe_code, reason = "copies a map value")]
fn is_of_copy(vma: u64) -> bool {
    let thread = emit::thread();
    // SAFETY: the value is copied out before the entry is removed.
    let copy = unsafe { COPIES.get(thread) }.copied();
    copy == Some(vma) && COPIES.remove(thread).is_ok()
}

#[fentry]
pub fn zap_vma_fentry(ctx: FEntryContext) -> u32 {
    zapped(
        traced_argument(&ctx, 0),
        traced_argument(&ctx, 1),
        traced_argument(&ctx, 2),
    );
    0
}

#[kprobe]
pub fn zap_vma_kprobe(ctx: ProbeContext) -> u32 {
    zapped(
        probed_argument(&ctx, 0),
        probed_argument(&ctx, 1),
        probed_argument(&ctx, 2),
    );
    0
}

/// Whoever zaps need not be the one who has mapped, so that the process says nothing.
#[inline(always)]
fn zapped(vma: u64, address: u64, size: u64) {
    let Some(file) = read::file_of_vma(vma) else {
        return;
    };
    if !read::operations_of(file).is_some_and(filter::are_device_operations) {
        return;
    }
    if is_of_copy(vma) {
        return;
    }
    let Some(device) = read::device_of(file) else {
        return;
    };
    let Some((start, _, offset)) = read::range_of_vma(vma) else {
        return;
    };
    zap::report(device, offset + address.wrapping_sub(start), size);
}
