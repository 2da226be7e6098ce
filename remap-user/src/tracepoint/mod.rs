//! Tracepoints of what a trace reports, for perf, bpftrace and other programs: one for each kind of
//! line. See docs/perf-events.md.

mod table;
mod user_events;
mod value;

use std::io;

use remap_core::{
    event::Event,
    model::{Blind, Output, Summary},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, downtime::Downtime},
};

pub use table::{Field, Kind, TRACEPOINTS, Tracepoint};
pub use user_events::{UserEvents, are_available};

/// A sink whose outputs are also tracepoints, which fire before the line is written.
pub struct Tracepoints<S> {
    sink: S,
    user_events: Option<UserEvents>,
}

impl<S: Sink> Tracepoints<S> {
    /// For the outputs of `sink`. `user_events`: the kernel's, where it has them.
    pub fn new(sink: S, user_events: Option<UserEvents>) -> Self {
        Self { sink, user_events }
    }
}

impl<S: Sink> Sink for Tracepoints<S> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        let events = &mut self.user_events;
        match output {
            Output::Cycle(cycle) => table::cycle(cycle, events),
            Output::Stage(stage) => table::stage(stage, events),
            Output::Transition(change) => table::transition(change, events),
            Output::StateInterval(interval) => table::state_interval(interval, events),
            Output::Interrupt(interrupt) => table::interrupt(interrupt, events),
            Output::Zap(zap) => table::zap(zap, events),
            Output::Finding(finding) => table::finding(finding, events),
            Output::Opened(opened) => table::opened(opened, events),
            Output::Closed(closed) => table::closed(closed, events),
            Output::IrqChange(_)
            | Output::Mapped(_)
            | Output::Inferred(_)
            | Output::InFlightCall(_) => {}
        }
        self.sink.output(output)
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        self.sink.event(event, device)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.sink.checkpoint(checkpoint)
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        table::downtime(downtime, &mut self.user_events);
        self.sink.downtime(downtime)
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        self.sink.blind(blind)
    }

    fn owner(&mut self, pid: u32, vm: Option<&str>) {
        self.sink.owner(pid, vm);
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.sink.summary(summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
