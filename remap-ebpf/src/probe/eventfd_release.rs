//! Traces `eventfd_release` (fs/eventfd.c): user space has closed the last file of an eventfd.
//! Emits `Release`. Without it a user that closes its eventfd looks like a user that never reads it.

use remap_common::record::Release;

use crate::{
    emit::{self, Loss, Run},
    filter, maps, read,
};

at_entry!(
    eventfd_release_fentry,
    eventfd_release_kprobe,
    run,
    |argument| { released(run, argument(1)) }
);

#[inline(always)]
fn released(run: Run, file: u64) -> Option<()> {
    let context = read::context_of(file)?;
    let target = filter::target_of(context)?;
    emit::emit(run, Loss::of(target.device), || Release {
        context,
        target: *target,
    });
    // The compiler may have inlined the last eventfd_ctx_put here, where its hook does not see it.
    if read::eventfd_references(context) == Some(1) {
        let _ = maps::CONTEXTS.remove(context);
    }
    Some(())
}
