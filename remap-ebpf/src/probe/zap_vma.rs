//! Traces `zap_vma_ptes` (mm/memory.c; in 7.x `zap_special_vma_range`): a part of one VMA loses its
//! pages. Before 6.10 (aac6db75a9fc) a device zaps its regions this way, VMA by VMA.
//! Emits `Zap`, one for each VMA. Without it the reason why a region faults again is not seen.
//!
//! Also traces `vfio_pci_mmap_open` (drivers/vfio/pci/vfio_pci_core.c), in which the same kernels zap
//! the VMA copy that fork or a split makes. That is no zap of the region, so it emits nothing. Without
//! it VMA copies are reported as zaps with an unknown cause.

use remap_common::counter::Counter;

use crate::{
    emit::{self, Loss, Run},
    filter,
    maps::COPIES,
    read, zap,
};

program!(kprobe, vfio_mmap_open_kprobe, |argument| {
    if COPIES.insert(emit::thread(), argument(0), 0).is_err() {
        emit::lose(Counter::CallsFull, Loss::UNKNOWN);
    }
});

/// Whether this is the zap of a VMA copy, which follows its open at once. True once for each copy.
#[inline(always)]
#[expect(unsafe_code, reason = "copies a map value")]
fn is_of_copy(vma: u64) -> bool {
    let thread = emit::thread();
    // SAFETY: the value is copied out before the entry is removed.
    let copy = unsafe { COPIES.get(thread) }.copied();
    copy == Some(vma) && COPIES.remove(thread).is_ok()
}

at_entry!(zap_vma_fentry, zap_vma_kprobe, run, |argument| zapped(
    run,
    argument(0),
    argument(1),
    argument(2)
));

/// Another process than the owner of the VMA may zap it, so no process filter applies.
#[inline(always)]
fn zapped(run: Run, vma: u64, address: u64, size: u64) -> Option<()> {
    let file = filter::device_file_of_vma(vma)?;
    if is_of_copy(vma) {
        return None;
    }
    let device = read::device_of(file)?;
    let (start, _, offset) = read::range_of_vma(vma)?;
    zap::report(run, device, offset + address.wrapping_sub(start), size);
    Some(())
}
