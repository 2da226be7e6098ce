//! Calls that were under way when the trace began.

use super::device::Device;
use super::report::Desk;
use super::rule::Found;
use crate::event::{EarlyCall, Event};
use crate::model::{InFlightCall, Ns, Rule};

fn over(desk: &mut Desk, early: InFlightCall, now: u64, seen_ns: Option<u64>) {
    desk.early(InFlightCall {
        last_seen_ns: Some(seen_ns.unwrap_or(early.time_ns)),
        time_ns: now,
        ..early
    });
}

impl Device {
    /// A call is found under way, and it had begun before the trace.
    pub(super) fn early(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        call: &EarlyCall,
        waits_in: &[String],
    ) {
        // One that was seen to begin is not early.
        if self.calls.contains_key(&event.task.tid) {
            return;
        }
        let early = InFlightCall {
            device: self.name.clone(),
            time_ns: event.time_ns,
            call: call.clone(),
            waits_in: waits_in.to_vec(),
            last_seen_ns: None,
            task: event.task.clone(),
        };
        desk.early(early.clone());
        self.early.insert(event.task.tid, early);
    }

    /// The thread is in that call no more, last seen in it at `seen_ns`; it may be told twice.
    pub(super) fn early_over(&mut self, desk: &mut Desk, event: &Event, seen_ns: Option<u64>) {
        let Some(early) = self.early.remove(&event.task.tid) else {
            return;
        };
        if early.call.changes_state() {
            // Whether it succeeded was not seen.
            self.forget_state(desk, event.time_ns);
        }
        over(desk, early, event.time_ns, seen_ns);
    }

    /// The device was closed: nobody is in a call on it any more.
    pub(super) fn end_early(&mut self, desk: &mut Desk, now: u64) {
        for early in std::mem::take(&mut self.early).into_values() {
            over(desk, early, now, None);
        }
    }

    /// The trace ends: a call that has lasted all the time does not return.
    pub(super) fn judge_early(&mut self, desk: &mut Desk, now: u64) {
        for early in std::mem::take(&mut self.early).into_values() {
            let ns = now.saturating_sub(early.time_ns);
            if ns < desk.options.stuck_ns {
                continue;
            }
            let (what, task) = (early.what(), &early.task);
            let waits = early.whereabouts();
            let waits = waits.map_or_else(String::new, |place| {
                format!("; when it was found it waited in {place}")
            });
            let text = format!(
                "{what} by {} {} was under way when the trace began, and has not returned in the {} \
                 since{waits}",
                task.comm,
                task.tid,
                Ns(ns)
            );
            let found = Found { region: None, text };
            desk.finding(now, &self.name, Rule::NeverReturned, found, None);
        }
    }
}
