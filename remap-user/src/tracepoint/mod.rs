//! Tracepoints of what a trace reports, for perf, bpftrace and other programs: one for each kind of
//! line. See docs/perf-events.md.

mod table;
mod user_events;
mod value;

use remap_core::{model::Output, sink::observe::Observer, vmm::downtime::Downtime};

pub use table::{Field, Kind, TRACEPOINTS, Tracepoint};
pub use user_events::{UserEvents, are_available};

/// Fires a tracepoint for each output, before its line is written. The kernel's own, where it has
/// them.
pub struct Tracepoints(pub Option<UserEvents>);

impl Observer for Tracepoints {
    fn output(&mut self, output: &Output) {
        let events = &mut self.0;
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
    }

    fn downtime(&mut self, downtime: &Downtime) {
        table::downtime(downtime, &mut self.0);
    }
}
