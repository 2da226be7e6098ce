//! Traces the removal of a VMA: `remove_vma` (mm/mmap.c, mm/vma.c), or where the compiler has inlined
//! it `vma_close` or `vm_area_free`; all three take the VMA as first argument. munmap, mmap over a
//! VMA and exit all call them. Another process may drop the last reference to an exiting process's
//! mm, so the owner is looked up by the mm and not by the current task.
//! Emits `Unmap`, after the pages are removed. Without it the unmap stage is missing, and an ack
//! with a forbidden mapping is not seen.

use remap_common::record::Unmap;

use crate::{
    emit::{self, Loss, Run},
    filter, read,
};

at_entry!(unmap_fentry, unmap_kprobe, run, |argument| removed(
    run,
    argument(0)
));

#[inline(always)]
fn removed(run: Run, vma: u64) -> Option<()> {
    if !filter::mm_is_marked(vma) {
        return None;
    }
    let file = filter::device_file_of_vma(vma)?;
    let device = emit::required(read::device_of(file))?;
    let (start, end, offset) = emit::required(read::range_of_vma(vma))?;
    let owner = filter::owner_of(vma);
    emit::emit_about(run, &owner, Loss::of(device), || Unmap {
        device,
        address: start,
        size: end - start,
        offset,
    });
    Some(())
}
