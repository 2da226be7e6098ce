//! Counts what passes on its way to a sink.

use std::io;

use super::Meter;
use crate::{
    account::Account,
    event::Event,
    model::{Blind, Output, Summary},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, downtime::Downtime},
};

/// A sink whose input is counted, if there is a meter.
#[derive(Debug)]
pub struct Metered<S> {
    sink: S,
    meter: Option<Meter>,
    /// Whether the sink gets every event.
    events: bool,
    /// Whether the sink gets interrupts, and calls that set them up.
    interrupts: bool,
}

impl<S: Sink> Metered<S> {
    /// Counts what `sink` gets, and what it does not get: without `events` and `interrupts`, those are
    /// only counted.
    pub fn new(sink: S, meter: Option<Meter>, (events, interrupts): (bool, bool)) -> Self {
        Self {
            sink,
            meter,
            events,
            interrupts,
        }
    }
}

impl<S: Sink> Sink for Metered<S> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        if let Some(meter) = &mut self.meter {
            meter.count(|metrics| metrics.output(output));
        }
        match output {
            Output::Interrupt(_) | Output::IrqChange(_) if !self.interrupts => Ok(()),
            output => self.sink.output(output),
        }
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        if let Some(meter) = &mut self.meter {
            meter.count(|metrics| metrics.event(event, device));
        }
        match self.events {
            true => self.sink.event(event, device),
            false => Ok(()),
        }
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.sink.checkpoint(checkpoint)
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        self.sink.downtime(downtime)
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        if let Some(meter) = &mut self.meter {
            meter.count(|metrics| metrics.blind(blind));
        }
        self.sink.blind(blind)
    }

    fn owner(&mut self, pid: u32, vm: Option<&str>) {
        self.sink.owner(pid, vm);
    }

    fn account(&mut self, so_far: &dyn Fn() -> Account) {
        if let Some(meter) = &mut self.meter {
            let account = so_far();
            meter.count(|metrics| metrics.account(&account));
        }
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.account(&|| Account {
            seen: summary.seen,
            delivered: summary.delivered,
            lost: summary.lost.clone(),
            ..Account::default()
        });
        self.sink.summary(summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(meter) = &mut self.meter {
            meter.count(|_| ());
        }
        self.sink.flush()
    }
}
