//! Traces `eventfd_ctx_put` (fs/eventfd.c): a reference to a context is dropped. With the last
//! reference the kernel frees the context and may reuse its memory, so the program removes it.
//! Emits nothing. Without it a recycled context could be taken for the device's.

use crate::{filter, maps, read};

at_entry!(eventfd_ctx_put_fentry, eventfd_ctx_put_kprobe, |argument| {
    put(argument(0))
});

#[inline(always)]
fn put(context: u64) {
    if filter::context_is_marked(context) && read::eventfd_references(context) == Some(1) {
        let _ = maps::CONTEXTS.remove(context);
    }
}
