//! Traces `eventfd_signal_mask` (fs/eventfd.c): every signal of an eventfd by the kernel. 6.1's
//! `eventfd_signal` jumps here; from 6.8 on (3652117f8548) it is an inline function.
//! Emits `Signal`. Without it there are no triggers, so nothing can be correlated.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use remap_common::record::{Signal, Target};

use super::{probed_argument, traced_argument};
use crate::{emit, filter, infer, maps, read};

#[fentry(function = "eventfd_signal_mask")]
pub fn eventfd_signal_fentry(ctx: FEntryContext) -> u32 {
    let context = traced_argument(&ctx, 0);
    if let Some(target) = target_of(context) {
        let addend = if read::signal_has_addend() {
            traced_argument(&ctx, 1)
        } else {
            1
        };
        signalled(context, target, addend);
    }
    0
}

#[kprobe(function = "eventfd_signal_mask")]
pub fn eventfd_signal_kprobe(ctx: ProbeContext) -> u32 {
    let context = probed_argument(&ctx, 0);
    if let Some(target) = target_of(context) {
        let addend = if read::signal_has_addend() {
            probed_argument(&ctx, 1)
        } else {
            1
        };
        signalled(context, target, addend);
    }
    0
}

/// The target of a context, known or else inferred.
#[inline(always)]
fn target_of(context: u64) -> Option<&'static Target> {
    if let Some(target) = filter::target_of(context) {
        return Some(target);
    }
    infer::signalled(context)
}

#[inline(always)]
fn signalled(context: u64, target: &Target, addend: u64) {
    let count = read::eventfd_count(context);
    let in_task = read::in_task();
    let inside = maps::device_in_call().unwrap_or(0);
    emit::emit(|| Signal {
        context,
        target: *target,
        addend,
        count: count.unwrap_or(0),
        inside,
        count_known: u32::from(count.is_some()),
        in_task: in_task.wire(),
    });
}
