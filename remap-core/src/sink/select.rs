//! Passes on the selected outputs of a trace, and counts those that it withholds. The summary covers
//! all outputs.

use std::collections::BTreeSet;
use std::io;

use super::Sink;
use crate::event::Event;
use crate::model::{Blind, Class, Output, Summary, Withheld};
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only outputs of these classes; `None` for all.
    pub classes: Option<BTreeSet<Class>>,
    /// Only what took at least so long, ns. What has no duration, or an unknown one, is shown.
    pub min_latency_ns: Option<u64>,
    /// Only what is about one of these regions; `None` for all.
    pub regions: Option<BTreeSet<u32>>,
    /// Only what was between these moments, in part at least (CLOCK_MONOTONIC ns); `None` for all.
    pub between: Option<(u64, u64)>,
}

/// A line, as far as a selection cares.
struct Subject {
    class: Class,
    duration_ns: Option<u64>,
    regions: Vec<u32>,
    span: (u64, u64),
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

    fn has_region(&self, regions: &[u32]) -> bool {
        let wanted = self.regions.as_ref();
        wanted.is_none_or(|wanted| regions.iter().any(|region| wanted.contains(region)))
    }

    fn is_between(&self, (first, last): (u64, u64)) -> bool {
        let between = self.between;
        between.is_none_or(|(from, until)| first <= until && last >= from)
    }
}

/// A sink that only gets what is selected. Of single events only the time is selected; what holds for the
/// whole trace passes.
#[derive(Debug)]
pub struct Select<S> {
    sink: S,
    selection: Selection,
    withheld: Withheld,
}

impl<S: Sink> Select<S> {
    /// Selects for `sink`.
    pub fn new(sink: S, selection: Selection) -> Self {
        Self {
            sink,
            selection,
            withheld: Withheld::default(),
        }
    }

    /// The sink.
    pub fn into_inner(self) -> S {
        self.sink
    }

    fn passes(&mut self, subject: &Subject) -> bool {
        let count = if !self.selection.has(subject.class) {
            &mut self.withheld.by_class
        } else if !self.selection.has_region(&subject.regions) {
            &mut self.withheld.by_region
        } else if !self.selection.is_between(subject.span) {
            &mut self.withheld.by_time
        } else if !self.selection.is_long(subject.duration_ns) {
            &mut self.withheld.by_latency
        } else {
            return true;
        };
        *count += 1;
        false
    }
}

impl<S: Sink> Sink for Select<S> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        let subject = Subject {
            class: output.class(),
            duration_ns: output.duration(),
            regions: output.regions(),
            span: output.span(),
        };
        match self.passes(&subject) {
            true => self.sink.output(output),
            false => Ok(()),
        }
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        if self.selection.is_between((event.time_ns, event.time_ns)) {
            return self.sink.event(event, device);
        }
        self.withheld.by_time += 1;
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        let subject = Subject {
            class: Class::Vmm,
            duration_ns: None,
            regions: Vec::new(),
            span: (checkpoint.time_ns, checkpoint.time_ns),
        };
        match self.passes(&subject) {
            true => self.sink.checkpoint(checkpoint),
            false => Ok(()),
        }
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        let total = &downtime.total;
        let subject = Subject {
            class: Class::Vmm,
            duration_ns: Some(total.duration()),
            regions: Vec::new(),
            span: (total.begin_ns, total.end_ns),
        };
        match self.passes(&subject) {
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
        summary.withheld = Withheld {
            records: summary.withheld.records,
            ..self.withheld
        };
        self.sink.summary(&summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
