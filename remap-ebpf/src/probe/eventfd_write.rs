//! Traces `eventfd_write` (fs/eventfd.c), entry and return: user space adds to a counter. On the
//! eventfd of a remap IRQ, or on its unmask eventfd, that is the ack.
//! Emits `Write`. Without it an ack by eventfd is not seen.

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use remap_common::record::Write;

use super::{probed_argument, probed_return, traced_argument, traced_return};
use crate::{emit, filter, maps, read};

#[fentry(function = "eventfd_write")]
pub fn eventfd_write_fentry(ctx: FEntryContext) -> u32 {
    entered(traced_argument(&ctx, 0), traced_argument(&ctx, 1));
    0
}

#[fexit(function = "eventfd_write")]
pub fn eventfd_write_fexit(ctx: FExitContext) -> u32 {
    returned(traced_argument(&ctx, 0), traced_return(&ctx));
    0
}

#[kprobe(function = "eventfd_write")]
pub fn eventfd_write_kprobe(ctx: ProbeContext) -> u32 {
    entered(probed_argument(&ctx, 0), probed_argument(&ctx, 1));
    0
}

#[kretprobe(function = "eventfd_write")]
pub fn eventfd_write_kretprobe(ctx: RetProbeContext) -> u32 {
    finish(probed_return(&ctx));
    0
}

#[inline(always)]
fn entered(file: u64, buffer: u64) {
    let Some(context) = read::context_of(file) else {
        return;
    };
    let Some(target) = filter::target_of(context) else {
        return;
    };
    let value: Option<u64> = read::user_word(buffer);
    let call = maps::EventfdWrite {
        begin_ns: emit::now(),
        context,
        value: value.unwrap_or(0),
        value_known: u64::from(value.is_some()),
        target: *target,
    };
    emit::begin(&maps::EVENTFD_WRITES, &call);
}

/// The flag again, before the map: every eventfd write of the machine runs this. Not the whole filter,
/// since the target of the context may have changed during the write.
#[inline(always)]
fn returned(file: u64, result: u64) {
    if read::context_of(file).is_some_and(filter::context_is_marked) {
        finish(result);
    }
}

#[inline(always)]
#[expect(unsafe_code, reason = "reads a map value")]
fn finish(result: u64) {
    let thread = emit::thread();
    // SAFETY: map values live until the program ends.
    let Some(call) = (unsafe { maps::EVENTFD_WRITES.get(thread) }) else {
        return;
    };
    emit::emit(|| Write {
        context: call.context,
        target: call.target,
        begin_ns: call.begin_ns,
        value: call.value,
        result: result as i64,
        value_known: call.value_known as u32,
        reserved: 0,
    });
    let _ = maps::EVENTFD_WRITES.remove(thread);
}
