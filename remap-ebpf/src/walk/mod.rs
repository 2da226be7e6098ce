//! The walks over what was open before the trace: device files, their mappings, and the eventfds of
//! their interrupts. User space runs them after every hook is attached, so that the hooks see every
//! change during a walk.

mod files;
mod interrupts;
mod mappings;
mod threads;

use aya_ebpf::helpers::bpf_probe_read_kernel;
use remap_common::{
    counter::Counter,
    record::Origin,
    walk::{Met, interrupts::UNREADABLE},
};

use crate::{
    emit::{self, Loss, Run, Subject},
    filter, maps,
    probe::introduce_as,
    read,
};

/// A word of an iterator's context. Fetched by helper: a pointer loaded from there directly is
/// typed for the verifier and cannot be used as a plain address.
#[inline(always)]
#[expect(unsafe_code, reason = "reads the iterator's context")]
fn visited(context: *mut core::ffi::c_void, offset: usize) -> u64 {
    // SAFETY: the helper checks the address; the context is larger than any offset used here.
    unsafe { bpf_probe_read_kernel(context.byte_add(offset).cast::<u64>()) }.unwrap_or(0)
}

/// Whether a file is a VFIO device's, and the device in it can be used.
#[inline(always)]
fn is_device_file(file: u64) -> bool {
    read::operations_of(file).is_some_and(filter::are_device_operations) && read::is_granted(file)
}

/// Emits the device behind a file and its interrupts, once in a walk.
#[inline(always)]
#[expect(unsafe_code, reason = "asks maps for presence")]
fn meet(run: Run, file: u64, task: u64, subject: &Subject) -> Option<u64> {
    filter::involve(task, subject.pid);
    let device = emit::required(read::device_of(file))?;
    // SAFETY: only the presence is of interest.
    if unsafe { maps::DEVICES.get(device) }.is_none() {
        introduce_as(run, device, Origin::Found, subject);
    }
    if read::has_own_driver(device) {
        // Its user may have enabled interrupts that only this driver's own structures hold.
        let _ = maps::DEVICES.insert(device, maps::PRIOR, 0);
        filter::learn_prior();
    }
    // SAFETY: as above.
    if unsafe { maps::MET.get(device) }.is_some() {
        return Some(device);
    }
    let mut met = Met {
        name: emit::NO_NAME,
        interrupts: interrupts::walk(run, device, subject).unwrap_or(UNREADABLE),
    };
    if !read::device_name(device, &mut met.name) {
        met.name = emit::NO_NAME;
    }
    if maps::MET.insert(device, &met, 0).is_err() {
        emit::lose(Counter::ContextsFull, Loss::of(device));
    }
    Some(device)
}
