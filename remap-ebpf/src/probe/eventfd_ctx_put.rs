//! Traces `eventfd_ctx_put` (fs/eventfd.c): a reference to a context is dropped. With the last
//! reference the kernel frees the context and may reuse its memory, so the program removes it.
//! Emits nothing. Without it a recycled context could be taken for the device's.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};

use super::{probed_argument, traced_argument};
use crate::{filter, maps, read};

#[fentry(function = "eventfd_ctx_put")]
pub fn eventfd_ctx_put_fentry(ctx: FEntryContext) -> u32 {
    put(traced_argument(&ctx, 0));
    0
}

#[kprobe(function = "eventfd_ctx_put")]
pub fn eventfd_ctx_put_kprobe(ctx: ProbeContext) -> u32 {
    put(probed_argument(&ctx, 0));
    0
}

#[inline(always)]
fn put(context: u64) {
    if filter::context_is_marked(context) && read::eventfd_references(context) == Some(1) {
        let _ = maps::CONTEXTS.remove(context);
    }
}
