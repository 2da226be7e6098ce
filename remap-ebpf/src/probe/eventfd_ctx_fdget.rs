//! Traces `eventfd_ctx_fdget` and `eventfd_ctx_fileget` (fs/eventfd.c) at their return: inside a
//! `SET_IRQS` the kernel looks up the context of each fd here, and so does the program. Inside
//! `LOW_POWER_ENTRY_WITH_WAKEUP` it looks up the wakeup eventfd.
//! Emits `Context`. Without it no eventfd of a device is known and nothing can be traced.
//!
//! The n-th look-up of a `SET_IRQS` belongs to the n-th fd of its array that is not -1. `fdget` calls
//! `fileget`, visibly or inlined; a context that the inner one has reported is not reported again.

use remap_common::{
    counter::Counter,
    record::{Origin, Target},
    uapi::{
        VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
        VFIO_DEVICE_FEATURE_MASK, VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_DATA_EVENTFD,
        vfio_device_feature, vfio_irq_set,
    },
};

use super::{is_no_pointer, vfio_ioctl};
use crate::{
    contexts,
    emit::{self, Loss, Run, Subject},
    filter,
    maps::Ioctl,
    read,
};

/// How many elements of an fd array are searched for the next one that is not -1. MSI-X arrays with
/// mostly unused vectors are usual.
const HOLES: u32 = 512;

program!(fexit, eventfd_ctx_fdget_fexit, run, |_argument, result| {
    found(run, result, false)
});
program!(kretprobe, eventfd_ctx_fdget_kretprobe, run, |result| found(
    run, result, false
));
program!(
    fexit,
    eventfd_ctx_fileget_fexit,
    run,
    |_argument, result| found(run, result, true)
);
program!(kretprobe, eventfd_ctx_fileget_kretprobe, run, |result| {
    found(run, result, true)
});

#[inline(always)]
fn found(run: Run, context: u64, inner: bool) {
    if !filter::process_is_involved() || is_no_pointer(context) {
        return;
    }
    let Some(call) = vfio_ioctl::call_in_flight() else {
        return;
    };
    if call.request != VFIO_DEVICE_SET_IRQS && call.request != VFIO_DEVICE_FEATURE {
        return;
    }
    if !inner && call.inner_context == context {
        call.inner_context = 0;
        return;
    }
    call.inner_context = if inner { context } else { 0 };
    // The kernel has read the argument by now. Its return counts one that is still unknown; here the
    // eventfd is lost too.
    if !vfio_ioctl::read_again(call) {
        emit::lose(Counter::Unreadable, Loss::of(call.device));
        return;
    }
    if call.request == VFIO_DEVICE_SET_IRQS {
        learn(run, call, context);
    } else if call.word(vfio_device_feature::FLAGS) & VFIO_DEVICE_FEATURE_MASK
        == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP
    {
        call.wakeup_context = context;
    }
}

#[inline(always)]
fn learn(run: Run, call: &mut Ioctl, context: u64) -> Option<()> {
    let flags = call.word(vfio_irq_set::FLAGS);
    let index = call.word(vfio_irq_set::INDEX);
    let start = call.word(vfio_irq_set::START);
    let count = call.word(vfio_irq_set::COUNT);
    if (call.argument_len as usize) < vfio_irq_set::DATA || flags & VFIO_IRQ_SET_DATA_EVENTFD == 0 {
        return None;
    }
    let (fd, position) = emit::required(next_fd(call, count))?;
    let sub = start + position;
    let target = Target {
        device: call.device,
        index,
        sub,
        role: contexts::role_of(flags).wire(),
        generation: filter::generation(call.device, index),
    };
    if contexts::learn(context, &target) {
        contexts::report(run, &Subject::current(), context, &target, fd, Origin::Seen);
    }
    Some(())
}

/// The next fd of the array that is not -1, and its position; moves the cursor behind it.
///
/// The cursor is in the map, not in a register: the verifier does not track map contents, so it checks
/// the code after the loop once and not once for each iteration.
#[inline(always)]
#[expect(unsafe_code, reason = "volatile access to a map value")]
fn next_fd(call: &mut Ioctl, count: u32) -> Option<(i32, u32)> {
    let cursor = &raw mut call.cursor;
    let array = call.pointer + vfio_irq_set::DATA as u64;
    for _ in 0..HOLES {
        // SAFETY: `call` is a map value that belongs to this thread.
        let position = unsafe { cursor.read_volatile() };
        if position >= count {
            return None;
        }
        let fd: i32 = read::user_word(array + u64::from(position) * 4)?;
        // SAFETY: as above.
        unsafe { cursor.write_volatile(position + 1) };
        if fd >= 0 {
            return Some((fd, position));
        }
    }
    None
}
