//! What sees the outputs of a trace on their way to its sink, and changes none of them.

use std::io;

use super::Sink;
use crate::account::Account;
use crate::event::Event;
use crate::model::{Blind, Output, Summary};
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};

/// Sees outputs before a sink gets them. It cannot fail the trace.
pub trait Observer {
    /// As [`Sink::output`].
    fn output(&mut self, _output: &Output) {}

    /// As [`Sink::downtime`].
    fn downtime(&mut self, _downtime: &Downtime) {}

    /// As [`Sink::blind`].
    fn blind(&mut self, _blind: &Blind) {}

    /// As [`Sink::flush`].
    fn flush(&mut self) {}

    /// The end, after every line was flushed. What it has to say goes into the summary.
    fn summary(&mut self, _summary: &mut Summary) {}
}

impl<O: Observer> Observer for Option<O> {
    fn output(&mut self, output: &Output) {
        self.iter_mut().for_each(|one| one.output(output));
    }

    fn downtime(&mut self, downtime: &Downtime) {
        self.iter_mut().for_each(|one| one.downtime(downtime));
    }

    fn blind(&mut self, blind: &Blind) {
        self.iter_mut().for_each(|one| one.blind(blind));
    }

    fn flush(&mut self) {
        self.iter_mut().for_each(Observer::flush);
    }

    fn summary(&mut self, summary: &mut Summary) {
        self.iter_mut().for_each(|one| one.summary(summary));
    }
}

/// A sink with an observer.
#[derive(Debug)]
pub struct Observed<S, O> {
    sink: S,
    observer: O,
}

impl<S: Sink, O: Observer> Observed<S, O> {
    /// `observer` sees what `sink` gets.
    pub fn new(sink: S, observer: O) -> Self {
        Self { sink, observer }
    }
}

impl<S: Sink, O: Observer> Sink for Observed<S, O> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        self.observer.output(output);
        self.sink.output(output)
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        self.sink.event(event, device)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.sink.checkpoint(checkpoint)
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        self.observer.downtime(downtime);
        self.sink.downtime(downtime)
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        self.observer.blind(blind);
        self.sink.blind(blind)
    }

    fn owner(&mut self, pid: u32, vm: Option<&str>) {
        self.sink.owner(pid, vm);
    }

    fn account(&mut self, so_far: &dyn Fn() -> Account) {
        self.sink.account(so_far);
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        // The lines so far first: an observer may be slow.
        self.sink.flush()?;
        let mut summary = summary.clone();
        self.observer.summary(&mut summary);
        self.sink.summary(&summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.observer.flush();
        self.sink.flush()
    }
}
