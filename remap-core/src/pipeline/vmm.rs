//! The checkpoints of the VMMs' logs, sorted in between the events of the probes.

use std::io;

use crate::{
    event::Event,
    sink::Sink,
    vmm::{
        checkpoint::Checkpoint,
        downtime::{Downtime, Downtimes},
        log::LogAccount,
    },
};

/// The checkpoints of a trace, and what they add up to.
#[derive(Default)]
pub(super) struct Vmm {
    downtimes: Downtimes,
    /// Checkpoints that are later than the last event.
    waiting: Vec<Checkpoint>,
    /// What was read of each log.
    pub(super) accounts: Vec<LogAccount>,
}

impl Vmm {
    /// One more, in whatever order the logs are read.
    pub(super) fn push(&mut self, checkpoint: Checkpoint) {
        self.waiting.push(checkpoint);
    }

    /// An event, after [`Self::until`] its time.
    pub(super) fn event(&mut self, event: &Event) {
        self.downtimes.event(event);
    }

    /// Emits the checkpoints before `now_ns`, in order of time.
    pub(super) fn until(&mut self, now_ns: u64, sink: &mut impl Sink) -> io::Result<()> {
        let due = |checkpoint: &mut Checkpoint| checkpoint.time_ns < now_ns;
        let mut due: Vec<Checkpoint> = self.waiting.extract_if(.., due).collect();
        due.sort_by_key(|checkpoint| checkpoint.time_ns);
        due.iter().try_for_each(|checkpoint| {
            self.downtimes.checkpoint(checkpoint);
            sink.checkpoint(checkpoint)
        })
    }

    /// The same, and emits the downtimes that have settled by then.
    pub(super) fn advance(&mut self, now_ns: u64, sink: &mut impl Sink) -> io::Result<()> {
        self.until(now_ns, sink)?;
        write(&self.downtimes.advance(now_ns), sink)
    }

    /// Emits the rest: the trace ended at `end_ns`.
    pub(super) fn finish(&mut self, end_ns: u64, sink: &mut impl Sink) -> io::Result<()> {
        self.until(u64::MAX, sink)?;
        write(&self.downtimes.finish(end_ns), sink)
    }
}

fn write(downtimes: &[Downtime], sink: &mut impl Sink) -> io::Result<()> {
    downtimes
        .iter()
        .try_for_each(|downtime| sink.downtime(downtime))
}
