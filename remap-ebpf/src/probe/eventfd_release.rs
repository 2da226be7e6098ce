//! Traces `eventfd_release` (fs/eventfd.c): user space has closed the last file of an eventfd.
//! Emits `Release`. Without it a user that closes its eventfd looks like a user that never reads it.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use remap_common::record::Release;

use super::{probed_argument, traced_argument};
use crate::{emit, filter, maps, read};

#[fentry(function = "eventfd_release")]
pub fn eventfd_release_fentry(ctx: FEntryContext) -> u32 {
    released(traced_argument(&ctx, 1));
    0
}

#[kprobe(function = "eventfd_release")]
pub fn eventfd_release_kprobe(ctx: ProbeContext) -> u32 {
    released(probed_argument(&ctx, 1));
    0
}

#[inline(always)]
fn released(file: u64) {
    let Some(context) = read::context_of(file) else {
        return;
    };
    let Some(target) = filter::target_of(context) else {
        return;
    };
    emit::emit(|| Release {
        context,
        target: *target,
    });
    // The compiler may have inlined the last eventfd_ctx_put here, where its hook does not see it.
    if read::eventfd_references(context) == Some(1) {
        let _ = maps::CONTEXTS.remove(context);
    }
}
