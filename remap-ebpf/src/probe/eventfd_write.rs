//! Traces `eventfd_write` (fs/eventfd.c), entry and return: user space adds to a counter. On the
//! eventfd of a remap IRQ, or on its unmask eventfd, that is the ack.
//! Emits `Write`. Without it an ack by eventfd is not seen.

use remap_common::{counter::Counter, record::Write, uapi::EFAULT};

use crate::{
    emit::{self, Loss, Run},
    filter, maps, read,
};

at_entry!(eventfd_write_fentry, eventfd_write_kprobe, |argument| {
    entered(argument(0), argument(1))
});
program!(
    fexit,
    eventfd_write_fexit,
    run,
    |argument, result| returned(run, argument(0), result)
);
program!(kretprobe, eventfd_write_kretprobe, run, |result| emit::end(
    &maps::EVENTFD_WRITES,
    |call| report(run, call, result)
));

#[inline(always)]
fn entered(file: u64, buffer: u64) -> Option<()> {
    let context = read::context_of(file)?;
    let target = filter::target_of(context)?;
    let value: Option<u64> = read::user_word(buffer);
    let call = maps::EventfdWrite {
        begin_ns: emit::now(),
        context,
        value: value.unwrap_or(0),
        value_known: u64::from(value.is_some()),
        buffer,
        target: *target,
    };
    emit::begin(&maps::EVENTFD_WRITES, Loss::of(call.target.device), &call);
    Some(())
}

/// The flag again, before the map: every eventfd write of the machine runs this. Not the whole filter,
/// since the target of the context may have changed during the write.
#[inline(always)]
fn returned(run: Run, file: u64, result: u64) {
    if read::context_of(file).is_some_and(filter::context_is_marked) {
        emit::end(&maps::EVENTFD_WRITES, |call| report(run, call, result));
    }
}

#[inline(always)]
fn report(run: Run, call: &maps::EventfdWrite, result: u64) {
    let mut value = Some(call.value);
    if call.value_known == 0 {
        // It lay in a page without memory; the kernel has read it since.
        value = read::user_word(call.buffer);
        if value.is_none() && result as i64 != -EFAULT {
            emit::lose(Counter::Unreadable, Loss::of(call.target.device));
        }
    }
    emit::emit(run, Loss::of(call.target.device), || Write {
        context: call.context,
        target: call.target,
        begin_ns: call.begin_ns,
        value: value.unwrap_or(0),
        result: result as i64,
        value_known: u32::from(value.is_some()),
        reserved: 0,
    });
}
