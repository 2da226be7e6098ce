//! Traces `eventfd_signal_mask` (fs/eventfd.c): every signal of an eventfd by the kernel. 6.1's
//! `eventfd_signal` jumps here; from 6.8 on (3652117f8548) it is an inline function.
//! Emits `Signal`. Without it there are no triggers, so nothing can be correlated.

use remap_common::record::{LostKind, Signal, Target};

use crate::{
    emit::{self, Loss, Run},
    filter, infer, maps, read,
};

at_entry!(
    eventfd_signal_fentry,
    eventfd_signal_kprobe,
    run,
    |argument| {
        let context = argument(0);
        if let Some(target) = target_of(run, context) {
            let addend = if read::signal_has_addend() {
                argument(1)
            } else {
                1
            };
            signalled(run, context, target, addend);
        }
    }
);

/// The target of a context, known or else inferred.
#[inline(always)]
fn target_of(run: Run, context: u64) -> Option<&'static Target> {
    filter::target_of(context).or_else(|| infer::signalled(run, context))
}

#[inline(always)]
fn signalled(run: Run, context: u64, target: &Target, addend: u64) {
    let count = read::eventfd_count(context);
    let in_task = read::in_task();
    let inside = maps::device_in_call().unwrap_or(0);
    emit::emit(run, Loss::eventfd(target, LostKind::Signal), || Signal {
        context,
        target: *target,
        addend,
        count: count.unwrap_or(0),
        inside,
        count_known: u32::from(count.is_some()),
        in_task: in_task.wire(),
    });
}
