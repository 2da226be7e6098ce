//! Decisions that combine facts of several trackers, once their evidence has settled or ended.

use super::{Device, irq_name};
use crate::correlate::migration::Change;
use crate::correlate::moment::Moment;
use crate::correlate::queue::OutputQueue;
use crate::correlate::remap::{ChangeEnd, Cut};
use crate::correlate::report::Reporter;
use crate::correlate::rules::is_timeout;
use crate::event::LostKind;
use crate::model::{Closed, Outcome, Output, Reason, UnfinishedChange, ZapEnd};

impl Device {
    /// Decides what has settled by `now`.
    pub(in crate::correlate) fn settle(&mut self, queue: &mut OutputQueue, now: u64) {
        let out = &mut Reporter::new(&self.identity, queue);
        self.remap.expire_reads(out, now);
        self.mappings.settle(out, now);
        let remap = &self.remap;
        let settled = self
            .migration
            .settled(now, |change| remap.is_awaited_by(change));
        for change in settled {
            self.decide(queue, now, change);
        }
        let out = &mut Reporter::new(&self.identity, queue);
        let live = self.mappings.live();
        self.remap.settle(out, now, live);
    }

    /// Whether no later time alone decides anything.
    pub(in crate::correlate) fn is_quiet(&self) -> bool {
        self.mappings.is_quiet() && self.migration.is_quiet() && self.remap.is_quiet()
    }

    /// How much is stored ([`crate::correlate::room`]).
    pub(in crate::correlate) fn room(&self) -> usize {
        let calls = self.calls.room() + self.users.room();
        let described = self.interrupts.room() + self.regions.room();
        calls + described + self.mappings.room() + self.migration.room() + self.remap.room()
    }

    /// There is no room for what is stored: all of it is dropped, as if records of any kind had been lost.
    pub(in crate::correlate) fn shed(&mut self, queue: &mut OutputQueue, now: u64) {
        self.lose(queue, now, LostKind::Other);
        let cut = Cut {
            outcome: Outcome::Incomplete,
            reason: Reason::RecordsLost,
        };
        for change in self.migration.take_returned() {
            self.decide(queue, now, change);
        }
        self.end_changes(queue, now, cut);
        let out = &mut Reporter::new(&self.identity, queue);
        let live = self.mappings.live();
        self.remap.end(out, now, cut, live);
        *self = Self {
            identity: std::mem::take(&mut self.identity),
            lost_ns: self.lost_ns,
            used: self.used,
            ..Self::default()
        };
    }

    /// Decides the state changes that timed out, before the user's reaction to the timeout.
    pub(super) fn decide_timeouts(&mut self, queue: &mut OutputQueue, now: u64) {
        for change in self.migration.timed_out() {
            self.decide(queue, now, change);
        }
    }

    /// Everything about a state change is known.
    fn decide(&mut self, queue: &mut OutputQueue, now: u64, change: Change) {
        if change.errno().is_some() {
            self.judge_change(queue, now, &change);
        }
        let out = &mut Reporter::new(&self.identity, queue);
        let waits = self.remap.change_over(change.id);
        if let Some(errno) = change.errno() {
            let reason = Reason::ChangeFailed { errno };
            // Its report includes what it waited for.
            let unacked = match is_timeout(errno) {
                true => Outcome::Unacked,
                false => Outcome::Aborted,
            };
            let live = self.mappings.live();
            let failed = (change.id, reason, unacked);
            self.remap.change_failed(out, now, failed, live);
        }
        self.migration.emit(out, change, &waits);
    }

    /// Finds the reason why a state change failed or does not return.
    fn judge_change(&mut self, queue: &mut OutputQueue, now: u64, change: &Change) {
        let out = &mut Reporter::new(&self.identity, queue);
        let end = ChangeEnd {
            reference: change.reference(),
            end_ns: change.end.map_or(now, |(end_ns, _)| end_ns),
            lossy: change.lossy,
            // Its trigger may be the one that was not recorded.
            signals_complete: !self.remap.has_gap(&self.interrupts),
            facts: self.migration.facts(out, now, change),
        };
        if self.remap.judge_change(out, &end) {
            self.migration.failure_explained();
        }
    }

    /// Records about this device, or about any, were lost that can have been `lost`.
    pub(in crate::correlate) fn lose(&mut self, queue: &mut OutputQueue, now: u64, lost: LostKind) {
        // Only of a PCI device it is known which interrupts are no remap IRQ.
        let lost = match lost {
            LostKind::Interrupt if !self.identity.is_pci() => LostKind::Read,
            lost => lost,
        };
        queue.retract(&self.identity.name, lost);
        let out = &mut Reporter::new(&self.identity, queue);
        let name = |index| irq_name(&self.identity, &self.remap, index);
        match lost {
            LostKind::Signal => {
                self.interrupts.lose_signals();
                self.remap.lose_signals();
            }
            LostKind::Interrupt => self.interrupts.lose_interrupts(out, name),
            LostKind::Consumed => self.interrupts.lose_reads(out, name),
            LostKind::Read => {
                self.interrupts.lose_reads(out, name);
                self.remap.lose();
            }
            LostKind::Fault => {
                self.mappings.lose_faults(out, now);
                self.migration.lose_figures();
            }
            LostKind::Data => self.migration.lose_figures(),
            LostKind::Other => {
                self.lost_ns = Some(now);
                self.interrupts.lose(out, name);
                self.remap.lose();
                self.mappings.lose(out, now);
                self.migration.lose(out, now);
                self.calls.lose();
                self.regions.lose();
                self.identity.lossy = true;
            }
        }
    }

    /// Whether records that can have been anything were lost since `begin_ns`.
    pub(super) fn lost_since(&self, begin_ns: u64) -> bool {
        self.lost_ns.is_some_and(|lost_ns| begin_ns <= lost_ns)
    }

    /// The device file was closed for the last time: all stored facts are invalid.
    pub(in crate::correlate) fn close(
        &mut self,
        queue: &mut OutputQueue,
        at: Moment<'_>,
        dying: Option<bool>,
    ) {
        let change = self.migration.change_in_flight();
        let closed = Closed {
            device: self.identity.name.clone(),
            time_ns: at.ns,
            dying,
            state: self.migration.state(),
            inside: change.map(|change| UnfinishedChange { to: change.to }),
            unanswered: self.remap.unanswered(),
            task: at.task.clone(),
        };
        let cut = Cut::aborted(match dying {
            Some(true) => Reason::ProcessEnded,
            _ => Reason::DeviceClosed,
        });
        for change in self.migration.take_returned() {
            self.decide(queue, at.ns, change);
        }
        self.end_changes(queue, at.ns, cut);
        let out = &mut Reporter::new(&self.identity, queue);
        let live = self.mappings.live();
        self.remap.end(out, at.ns, cut, live);
        self.calls.close(out, at.ns);
        self.migration.report_data_left(out);
        self.mappings.close(out, at.ns, ZapEnd::Closed);
        self.migration.close(out, at.ns);
        let name = |index| irq_name(&self.identity, &self.remap, index);
        self.interrupts.close(out, name);
        out.emit(Output::Closed(closed));
        self.remap.close();
        self.regions.close();
        let ended = (dying == Some(true)).then_some(at.task.pid);
        self.users.close(out, ended);
        self.identity.close();
    }

    /// The trace ends.
    pub(in crate::correlate) fn finish(&mut self, queue: &mut OutputQueue, now: u64) {
        let cut = Cut {
            outcome: Outcome::Incomplete,
            reason: Reason::TraceEnded,
        };
        for change in self.migration.take_returned() {
            self.decide(queue, now, change);
        }
        self.end_changes(queue, now, cut);
        let out = &mut Reporter::new(&self.identity, queue);
        let live = self.mappings.live();
        self.remap.judge_forgotten(out, now);
        self.remap.end(out, now, cut, live);
        self.calls.judge(out, now);
        let name = |index| irq_name(&self.identity, &self.remap, index);
        self.interrupts.judge(out, now, name);
        self.migration.judge(out, now);
        self.mappings.close(out, now, ZapEnd::TraceEnd);
        self.migration.finish(out, now);
        self.interrupts.close(out, name);
    }

    /// State changes in flight are not seen to return. One that hangs is judged when the trace
    /// ends.
    fn end_changes(&mut self, queue: &mut OutputQueue, now: u64, cut: Cut) {
        for change in self.migration.take_in_flight() {
            if cut.outcome == Outcome::Incomplete {
                self.judge_change(queue, now, &change);
            }
            let out = &mut Reporter::new(&self.identity, queue);
            let live = self.mappings.live();
            self.remap.change_cut(out, now, (change.id, cut), live);
            self.remap.change_over(change.id);
            self.migration.emit(out, change, &[]);
        }
    }
}
