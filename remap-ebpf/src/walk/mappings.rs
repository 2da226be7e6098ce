//! Walks every VMA of every process (`bpf_iter__task_vma`) for mappings of VFIO devices, also of
//! files that are closed by now. Emits `Map`, and `Device` and `Context` of its device.
//! Impact without it: mappings that were made before the trace are unknown.

use remap_common::{
    record::{Map, Origin},
    uapi::VFIO_PCI_OFFSET_SHIFT,
};

use super::{is_device_file, meet, visited};
use crate::{
    emit::{self, Loss, Run},
    filter, infer, read,
};

/// `struct bpf_iter__task_vma`: meta, task, vma.
mod offset {
    pub const TASK: usize = 8;
    pub const VMA: usize = 16;
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_vma")]
#[expect(
    unsafe_code,
    reason = "the loader finds the program by section and symbol"
)]
pub extern "C" fn walk_mappings(context: *mut core::ffi::c_void) -> i32 {
    let (task, vma) = (
        visited(context, offset::TASK),
        visited(context, offset::VMA),
    );
    if task != 0
        && vma != 0
        && let Some(file) = read::file_of_vma(vma)
        && is_device_file(file)
    {
        found(Run::at(context), task, vma, file);
    }
    0
}

#[inline(always)]
fn found(run: Run, task: u64, vma: u64, file: u64) -> Option<()> {
    let subject = read::subject_of(task)?;
    let device = meet(run, file, task, &subject)?;
    filter::learn_mm(vma, &subject);
    let (start, end, offset) = emit::required(read::range_of_vma(vma))?;
    if filter::something_is_prior() {
        infer::note_description(device, (offset >> VFIO_PCI_OFFSET_SHIFT) as u32);
    }
    emit::emit_about(run, &subject, Loss::of(device), || Map {
        device,
        address: start,
        size: end - start,
        offset,
        result: 0,
        origin: Origin::Found.wire(),
        reserved: 0,
    });
    Some(())
}
