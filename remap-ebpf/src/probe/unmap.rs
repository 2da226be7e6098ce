//! Traces the removal of a VMA: `remove_vma` (mm/mmap.c, mm/vma.c), or where the compiler has inlined
//! it `vma_close` or `vm_area_free`; all three take the VMA as first argument. munmap, mmap over a
//! VMA and exit all call them. Another process may drop the last reference to an exiting process's
//! mm, so the owner is looked up by the mm and not by the current task.
//! Emits `Unmap`, after the pages are removed. Without it the unmap stage is missing, and an ack
//! with a forbidden mapping is not seen.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use remap_common::{counter::Counter, record::Unmap};

use super::{probed_argument, traced_argument};
use crate::{emit, filter, read};

#[fentry]
pub fn unmap_fentry(ctx: FEntryContext) -> u32 {
    removed(traced_argument(&ctx, 0));
    0
}

#[kprobe]
pub fn unmap_kprobe(ctx: ProbeContext) -> u32 {
    removed(probed_argument(&ctx, 0));
    0
}

#[inline(always)]
fn removed(vma: u64) {
    if !filter::mm_is_marked(vma) {
        return;
    }
    let Some(file) = read::file_of_vma(vma) else {
        return;
    };
    if !read::operations_of(file).is_some_and(filter::are_device_operations) {
        return;
    }
    let Some(device) = read::device_of(file) else {
        emit::lose(Counter::Unreadable);
        return;
    };
    let Some((start, end, offset)) = read::range_of_vma(vma) else {
        emit::lose(Counter::Unreadable);
        return;
    };
    let owner = filter::owner_of(vma);
    emit::emit_about(&owner, || Unmap {
        device,
        address: start,
        size: end - start,
        offset,
    });
}
