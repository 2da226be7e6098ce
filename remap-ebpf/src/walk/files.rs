//! Walks every open file of every process (`bpf_iter__task_file`) for those of VFIO devices.
//! Emits `Device` and, for the interrupts that are enabled, `Context`. Without it a device is
//! known from its first call on only, and its interrupts from the next `SET_IRQS`.

use remap_common::counter::Counter;

use super::{is_device_file, meet, visited};
use crate::{
    emit::{self, Loss, Run},
    maps, read,
};

/// `struct bpf_iter__task_file`: meta, task, fd, file.
mod offset {
    pub const TASK: usize = 8;
    pub const FD: usize = 16;
    pub const FILE: usize = 24;
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
#[expect(
    unsafe_code,
    reason = "the loader finds the program by section and symbol"
)]
pub extern "C" fn walk_files(context: *mut core::ffi::c_void) -> i32 {
    let (task, file) = (
        visited(context, offset::TASK),
        visited(context, offset::FILE),
    );
    if task != 0
        && file != 0
        && is_device_file(file)
        && let Some(subject) = read::subject_of(task)
    {
        let Some(device) = meet(Run::at(context), file, task, &subject) else {
            return 0;
        };
        // The fd is 32 bits, and padding follows it.
        let fd = visited(context, offset::FD) as u32;
        let place = u64::from(subject.pid) << 32 | u64::from(fd);
        if maps::DEVICE_FILES.insert(place, device, 0).is_err() {
            emit::lose(Counter::ContextsFull, Loss::of(device));
        }
    }
    0
}
