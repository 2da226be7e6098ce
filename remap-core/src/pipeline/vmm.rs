//! The checkpoints of the VMMs' logs, sorted in between the events of the probes.

use std::collections::BTreeMap;
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

/// So many checkpoints wait at most; the first of more are not sorted in.
const MOST: usize = 4096;

/// The checkpoints of a trace, and what they add up to.
#[derive(Default)]
pub(super) struct Vmm {
    downtimes: Downtimes,
    /// Checkpoints that are later than the last event, by time and number.
    waiting: BTreeMap<(u64, u64), Checkpoint>,
    pushed: u64,
    /// What was read of each log.
    pub(super) accounts: Vec<LogAccount>,
}

impl Vmm {
    /// One more, in whatever order the logs are read.
    pub(super) fn push(&mut self, checkpoint: Checkpoint) {
        self.pushed += 1;
        self.waiting
            .insert((checkpoint.time_ns, self.pushed), checkpoint);
    }

    /// An event, after [`Self::until`] its time.
    pub(super) fn event(&mut self, event: &Event) {
        self.downtimes.event(event);
    }

    /// Emits the checkpoints before `now_ns`, in order of time.
    pub(super) fn until(&mut self, now_ns: u64, sink: &mut impl Sink) -> io::Result<()> {
        while let Some(first) = self.waiting.first_entry()
            && (first.key().0 < now_ns || self.waiting.len() > MOST)
        {
            if let Some((_, checkpoint)) = self.waiting.pop_first() {
                self.downtimes.checkpoint(&checkpoint);
                sink.checkpoint(&checkpoint)?;
            }
        }
        Ok(())
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
