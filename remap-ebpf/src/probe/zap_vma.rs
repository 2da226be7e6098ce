//! Traces `zap_vma_ptes` (mm/memory.c; in 7.x `zap_special_vma_range`): a part of one VMA loses its
//! pages. Before 6.10 (aac6db75a9fc) a device zaps its regions this way, VMA by VMA.
//! Emits `Zap`, one for each VMA. Without it the reason why a region faults again is not seen.
//!
//! Also traces `vfio_pci_mmap_open` (drivers/vfio/pci/vfio_pci_core.c), in which the same kernels zap
//! the VMA copy that fork or a split makes. That is no zap of the region, so it emits nothing. Without
//! it VMA copies are reported as zaps with an unknown cause.

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

/// Whether this is the zap of a VMA copy, which follows its open at once. True once for each copy.
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

/// Another process than the owner of the VMA may zap it, so no process filter applies.
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
