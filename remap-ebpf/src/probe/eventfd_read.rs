//! Traces `eventfd_read` (fs/eventfd.c) at its return: user space has read a counter.
//! Emits `Read`. Without it a cycle has no wake, and aliased triggers and triggers by user space are
//! not seen.

use aya_ebpf::{
    macros::{fexit, kprobe, kretprobe},
    programs::{FExitContext, ProbeContext, RetProbeContext},
};
use remap_common::record::Read;

use super::{probed_argument, probed_return, traced_argument, traced_return};
use crate::{emit, filter, infer, maps, read};

#[fexit(function = "eventfd_read")]
pub fn eventfd_read_fexit(ctx: FExitContext) -> u32 {
    returned(
        traced_argument(&ctx, 0),
        traced_argument(&ctx, 1),
        traced_return(&ctx),
    );
    0
}

#[kprobe(function = "eventfd_read")]
pub fn eventfd_read_kprobe(ctx: ProbeContext) -> u32 {
    let file = probed_argument(&ctx, 0);
    let iter = probed_argument(&ctx, 1);
    let ours = read::file_of_kiocb(file)
        .and_then(read::context_of)
        .is_some_and(|context| filter::target_of(context).is_some());
    if ours || infer::is_of_interest() {
        emit::begin(&maps::EVENTFD_READS, &maps::EventfdRead { file, iter });
    }
    0
}

#[kretprobe(function = "eventfd_read")]
#[expect(unsafe_code, reason = "copies a map value")]
pub fn eventfd_read_kretprobe(ctx: RetProbeContext) -> u32 {
    let thread = emit::thread();
    // SAFETY: the value is copied out before the entry is removed.
    if let Some(call) = unsafe { maps::EVENTFD_READS.get(thread) }.copied() {
        let _ = maps::EVENTFD_READS.remove(thread);
        returned(call.file, call.iter, probed_return(&ctx));
    }
    0
}

#[inline(always)]
fn returned(kiocb: u64, iter: u64, result: u64) {
    let Some(context) = read::file_of_kiocb(kiocb).and_then(read::context_of) else {
        return;
    };
    let result = result as i64;
    let Some(target) = filter::target_of(context) else {
        if result == 8 && infer::is_of_interest() {
            infer::was_read(context, read::value_behind(iter));
        }
        return;
    };
    let value = if result == 8 {
        read::value_behind(iter)
    } else {
        None
    };
    emit::emit(|| Read {
        context,
        target: *target,
        value: value.unwrap_or(0),
        result,
        value_known: u32::from(value.is_some()),
        reserved: 0,
    });
}
