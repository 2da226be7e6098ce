//! Passes on the selected outputs of a trace, and counts those that it withholds. The summary covers
//! all outputs.

use std::collections::BTreeSet;
use std::io;

use super::Sink;
use crate::event::Event;
use crate::model::{Blind, Class, Output, Summary};
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only outputs of these classes; `None` for all.
    pub classes: Option<BTreeSet<Class>>,
    /// Only what took at least so long, ns. What has no duration, or an unknown one, is shown.
    pub min_latency_ns: Option<u64>,
}

impl Selection {
    /// Whether outputs of `class` are asked for by name.
    pub fn names(&self, class: Class) -> bool {
        let mut classes = self.classes.iter();
        classes.any(|classes| classes.contains(&class))
    }

    fn has(&self, class: Class) -> bool {
        self.classes.is_none() || self.names(class)
    }

    fn is_long(&self, duration_ns: Option<u64>) -> bool {
        match (self.min_latency_ns, duration_ns) {
            (Some(least), Some(ns)) => ns >= least,
            _ => true,
        }
    }
}

/// A sink that only gets what is selected. Single events, and what holds for the whole trace, pass.
#[derive(Debug)]
pub struct Select<S> {
    sink: S,
    selection: Selection,
    by_class: u64,
    by_latency: u64,
}

impl<S: Sink> Select<S> {
    /// Selects for `sink`.
    pub fn new(sink: S, selection: Selection) -> Self {
        Self {
            sink,
            selection,
            by_class: 0,
            by_latency: 0,
        }
    }

    /// The sink.
    pub fn into_inner(self) -> S {
        self.sink
    }

    fn passes(&mut self, class: Class, duration_ns: Option<u64>) -> bool {
        let (wanted, long) = (
            self.selection.has(class),
            self.selection.is_long(duration_ns),
        );
        self.by_class += u64::from(!wanted);
        self.by_latency += u64::from(wanted && !long);
        wanted && long
    }
}

impl<S: Sink> Sink for Select<S> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        match self.passes(output.class(), output.duration()) {
            true => self.sink.output(output),
            false => Ok(()),
        }
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        self.sink.event(event, device)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        match self.passes(Class::Vmm, None) {
            true => self.sink.checkpoint(checkpoint),
            false => Ok(()),
        }
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        match self.passes(Class::Vmm, Some(downtime.total.duration())) {
            true => self.sink.downtime(downtime),
            false => Ok(()),
        }
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        self.sink.blind(blind)
    }

    fn owner(&mut self, pid: u32, vm: Option<&str>) {
        self.sink.owner(pid, vm);
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let mut summary = summary.clone();
        summary.withheld.by_class = self.by_class;
        summary.withheld.by_latency = self.by_latency;
        self.sink.summary(&summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
