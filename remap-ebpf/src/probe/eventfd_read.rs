//! Traces `eventfd_read` (fs/eventfd.c) at its return: user space has read a counter.
//! Emits `Read`. Without it a cycle has no wake, and aliased triggers and triggers by user space are
//! not seen.

use remap_common::record::{LostKind, Read};

use crate::{
    emit::{self, Loss, Run},
    filter, infer, maps, read,
};

program!(fexit, eventfd_read_fexit, run, |argument, result| returned(
    run,
    argument(0),
    argument(1),
    result
));

program!(kprobe, eventfd_read_kprobe, |argument| {
    let (file, iter) = (argument(0), argument(1));
    let ours = read::file_of_kiocb(file)
        .and_then(read::context_of)
        .is_some_and(|context| filter::target_of(context).is_some());
    if ours || infer::is_of_interest() {
        emit::begin(
            &maps::EVENTFD_READS,
            Loss::kind(0, LostKind::Read),
            &maps::EventfdRead { file, iter },
        );
    }
});

program!(kretprobe, eventfd_read_kretprobe, run, |result| emit::end(
    &maps::EVENTFD_READS,
    |call| returned(run, call.file, call.iter, result)
));

#[inline(always)]
fn returned(run: Run, kiocb: u64, iter: u64, result: u64) {
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
    emit::emit(run, Loss::eventfd(target, LostKind::Read), || Read {
        context,
        target: *target,
        value: value.unwrap_or(0),
        result,
        value_known: u32::from(value.is_some()),
        reserved: 0,
    });
}
