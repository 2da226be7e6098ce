//! The eventfds that `vfio_pci_core` holds for a device: INTx, MSI or MSI-X, ERR, REQ, those that mask
//! and unmask, and the one that wakes it (`struct vfio_pci_core_device`). Emits `Context`.
//!
//! The walk takes no lock. It stores each context and then reads the pointer again: a context that the
//! kernel has replaced or freed meanwhile is forgotten. The hooks have seen its replacement.

use aya_ebpf::helpers::generated::bpf_loop;
use remap_common::{
    record::{Origin, Role, Target},
    uapi::{VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX},
    walk::interrupts::{ELSEWHERE, WALKED},
};

use crate::{
    contexts,
    emit::{Run, Subject},
    filter, read,
};

/// The most vectors that MSI-X has.
const MAX_VECTORS: u32 = 2048;

/// The walk over one device's vectors.
struct Vectors {
    run: Run,
    core: u64,
    device: u64,
    index: u32,
    subject: Subject,
}

/// Stores the eventfds that the kernel holds for this device. Returns how far the walk came
/// (`remap_common::walk::interrupts`); `None` if a structure could not be read.
#[inline(always)]
#[expect(unsafe_code, reason = "passes a callback and its argument to a helper")]
pub fn walk(run: Run, device: u64, subject: &Subject) -> Option<u32> {
    let Some(core) = read::core_of(device) else {
        return Some(ELSEWHERE);
    };
    let generation = |index| filter::generation(device, index);
    let target = |index| Target {
        device,
        index,
        sub: 0,
        role: Role::Trigger.wire(),
        generation: generation(index),
    };
    adopt(run, subject, &target(VFIO_PCI_ERR_IRQ_INDEX), || {
        read::err_trigger(core)
    })?;
    adopt(run, subject, &target(VFIO_PCI_REQ_IRQ_INDEX), || {
        read::req_trigger(core)
    })?;
    // Kernels before 6.1 have none.
    let _ = adopt(run, subject, &contexts::wakeup_of(device), || {
        read::wake_context(device)
    });
    let index = read::enabled_index(core)?;
    // Only up to here an index has vectors.
    if index > VFIO_PCI_MSIX_IRQ_INDEX {
        return Some(WALKED);
    }
    let count = match read::interrupt_count(core)? {
        count @ 1..=MAX_VECTORS => count,
        _ => MAX_VECTORS,
    };
    let mut vectors = Vectors {
        run,
        core,
        device,
        index,
        subject: *subject,
    };
    // SAFETY: the callback gets the number of the round and this pointer, which outlives the call.
    unsafe {
        bpf_loop(
            count,
            vector as *mut core::ffi::c_void,
            (&raw mut vectors).cast(),
            0,
        );
    }
    Some(WALKED)
}

/// One round: the three eventfds of a vector.
#[expect(unsafe_code, reason = "the argument is a raw pointer")]
unsafe extern "C" fn vector(number: u64, vectors: *mut Vectors) -> i64 {
    // SAFETY: `walk` passes its own variable.
    let vectors = unsafe { &*vectors };
    let sub = number as u32;
    let Some(interrupt) = read::interrupt(vectors.core, sub) else {
        return 0;
    };
    let mut target = Target {
        device: vectors.device,
        index: vectors.index,
        sub,
        role: Role::Trigger.wire(),
        generation: filter::generation(vectors.device, vectors.index),
    };
    let (run, subject) = (vectors.run, &vectors.subject);
    let _ = adopt(run, subject, &target, || read::trigger(interrupt));
    target.role = Role::Mask.wire();
    let _ = adopt(run, subject, &target, || read::mask(interrupt));
    target.role = Role::Unmask.wire();
    let _ = adopt(run, subject, &target, || read::unmask(interrupt));
    0
}

/// Stores the context that `held` reads, if there is one. `None` if it cannot be read.
#[inline(always)]
fn adopt(
    run: Run,
    subject: &Subject,
    target: &Target,
    held: impl Fn() -> Option<u64>,
) -> Option<()> {
    let context = held()?;
    if context == 0 || !contexts::adopt(context, target) {
        return Some(());
    }
    // The kernel drops its reference before it clears the pointer.
    let is_referenced = read::eventfd_references(context).is_none_or(|references| references > 0);
    if held() != Some(context) || !is_referenced {
        contexts::disown(context, target);
        return Some(());
    }
    contexts::report(run, subject, context, target, -1, Origin::Found);
    Some(())
}
