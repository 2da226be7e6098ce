//! Traces `eventfd_ctx_do_read` (fs/eventfd.c): the kernel itself consumes a counter, for KVM's
//! irqfd or a virqfd. `eventfd_read` has an inlined copy, so reads by user space do not call it.
//! Emits `Consumed` if the counter was not 0. Without it a signal that the kernel has consumed
//! looks like a signal without a reader.

use remap_common::record::{Consumed, LostKind};

use crate::{
    emit::{self, Loss, Run},
    filter, read,
};

at_entry!(
    eventfd_ctx_do_read_fentry,
    eventfd_ctx_do_read_kprobe,
    run,
    |argument| consumed(run, argument(0))
);

/// The caller holds the lock of the counter, so its value is what the kernel consumes.
#[inline(always)]
fn consumed(run: Run, context: u64) {
    let Some(target) = filter::target_of(context) else {
        return;
    };
    let count = read::eventfd_count(context);
    if count == Some(0) {
        return;
    }
    let value = match read::eventfd_is_semaphore(context) {
        Some(true) => Some(1),
        Some(false) => count,
        None => None,
    };
    emit::emit(run, Loss::kind(target.device, LostKind::Consumed), || {
        Consumed {
            context,
            target: *target,
            value: value.unwrap_or(0),
            value_known: u32::from(value.is_some()),
            reserved: 0,
        }
    });
}
