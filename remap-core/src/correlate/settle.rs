//! Ends: what has waited long enough is decided.

use super::device::{Device, Irq, sub_of};
use super::inferred::Guess;
use super::open::Open;
use super::report::Desk;
use super::rule::{
    AT_CHANGE_END, AtChangeEnd, Awaited, Found, deadlock, is_timeout, judge, missing_ack,
    state_unknown,
};
use super::transition::{Change, Wait};
use super::vector::Vector;
use crate::event::Target;
use crate::model::{Activity, Ns, Outcome, Rule, Stage, ZapEnd};
use crate::parse::irq::Encoding;

/// A state change that timed out with a trigger unread, before anybody was seen to read that
/// eventfd: who reads it next decides what it was.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    irq_index: u32,
    tid: u32,
    due: u64,
    deadlock: Option<(Rule, Found)>,
    missing_ack: Option<(Rule, Found)>,
}

impl Device {
    /// Decides what is due by `now`.
    pub(super) fn settle(&mut self, desk: &mut Desk, now: u64) {
        self.expire_reads(desk, now);
        self.settle_episodes(desk, now);
        let mut at = 0;
        while let Some((due, change)) = self.closing.get(at) {
            let open = |cycle: &Open| cycle.awaited_by(change.id) && !cycle.acked();
            if now < *due && self.cycles.iter().any(open) {
                at += 1;
                continue;
            }
            let (_, change) = self.closing.remove(at);
            self.decide(desk, now, change);
        }
        if self
            .cycles
            .iter()
            .any(|cycle| cycle.due.is_some_and(|due| due <= now))
        {
            self.sweep(desk, now);
        }
        for suspect in self.suspects.extract_if(.., |suspect| suspect.due <= now) {
            accuse(desk, now, &self.name, suspect.missing_ack);
        }
    }

    /// Decides the state changes that timed out: who disables the IRQ because of that will not
    /// answer any more.
    pub(super) fn decide_timeouts(&mut self, desk: &mut Desk, now: u64) {
        let timed_out = |change: &Change| change.errno().is_some_and(is_timeout);
        let due: Vec<(u64, Change)> = self
            .closing
            .extract_if(.., |(_, change)| timed_out(change))
            .collect();
        for (_, change) in due {
            self.decide(desk, now, change);
        }
    }

    /// Everything about a state change is known.
    fn decide(&mut self, desk: &mut Desk, now: u64, change: Change) {
        let id = change.id;
        let inside = move |cycle: &Open| cycle.awaited_by(id);
        if let Some(errno) = change.errno() {
            self.judge_change(desk, now, &change);
            let reason = format!("the state change failed with {errno}");
            // What it waited for is part of what is said about it.
            let unacked = if is_timeout(errno) {
                Outcome::Unacked
            } else {
                Outcome::Aborted
            };
            let waits = self.waits(inside);
            self.cut(desk, now, Outcome::Aborted, &reason, move |cycle| {
                inside(cycle) && cycle.acked()
            });
            self.cut(desk, now, unacked, &reason, inside);
            desk.transition(change.finish(&self.name, &waits));
        } else {
            let waits = self.waits(inside);
            desk.transition(change.finish(&self.name, &waits));
        }
    }

    fn waits(&self, wanted: impl Fn(&Open) -> bool) -> Vec<Wait> {
        let wanted = self.cycles.iter().filter(|cycle| wanted(cycle));
        wanted.map(Open::wait).collect()
    }

    /// A state change that failed, or that never returned: why.
    fn judge_change(&mut self, desk: &mut Desk, now: u64, change: &Change) {
        let id = change.id;
        let explained = |cycle: &Open| cycle.lossy || cycle.blamed;
        // Its own triggers, and older ones that nobody acknowledged: a driver may have to hold
        // its signal back for those.
        let older = |cycle: &Open| {
            !cycle.acked() && !explained(cycle) && cycle.trigger_ns < change.begin_ns
        };
        let about = self.places(|cycle| cycle.awaited_by(id) || older(cycle));
        let any_explained = about.iter().any(|at| explained(&self.cycles[*at]));
        if change.lossy || change.blamed || any_explained {
            self.failed = None;
            return;
        }
        let now = change.end.map_or(now, |(end_ns, _)| end_ns);
        let moment = self.change_moment(desk, now, change, &about);
        let verdict = judge(AT_CHANGE_END, &moment);
        if verdict.is_some() {
            self.failed = None;
        }
        let unknown_reader = |awaited: &Awaited| !awaited.woke && awaited.readers.is_empty();
        let undecided = matches!(verdict, Some((Rule::MissingAck, _)))
            && moment.awaited.iter().any(unknown_reader);
        if undecided {
            self.blame(&about);
            self.suspect(desk, now, &moment, &about);
        } else if let Some(verdict) = verdict {
            self.raise(desk, now, &about, verdict);
        }
    }

    fn change_moment(
        &self,
        desk: &Desk,
        now: u64,
        change: &Change,
        about: &[usize],
    ) -> AtChangeEnd {
        let duration_ns = now.saturating_sub(change.begin_ns);
        let enabled: Vec<Option<bool>> = self.irqs.values().map(Irq::is_enabled).collect();
        AtChangeEnd {
            from: change.from,
            to: change.to,
            route: self.route(change.from, change.to),
            errno: change.errno(),
            duration_ns,
            tid: change.task.tid,
            stuck: duration_ns >= desk.options.stuck_ns,
            enabled: match enabled.as_slice() {
                [] => None,
                irqs if irqs.contains(&Some(false)) => Some(false),
                irqs if irqs.contains(&None) => None,
                _ => Some(true),
            },
            never_asked: self.never_asked(),
            awaited: about
                .iter()
                .map(|at| self.awaited(&self.cycles[*at], now))
                .collect(),
        }
    }

    /// Whether the driver is a vendor's, and nobody has looked for a remap IRQ of it.
    fn never_asked(&self) -> Option<bool> {
        let driver = self.driver.as_deref().filter(|_| !self.lossy)?;
        let known = self.asked || !self.irqs.is_empty() || !self.guesses.is_empty();
        Some(driver != "vfio-pci" && !known)
    }

    /// What is known of a cycle that was waited for until `until_ns`.
    fn awaited(&self, cycle: &Open, until_ns: u64) -> Awaited {
        let readers = self
            .irqs
            .get(&cycle.irq_index)
            .and_then(|irq| irq.readers.get(&sub_of(irq.remap, cycle.region)));
        Awaited {
            region: cycle.region,
            encoding: cycle.encoding,
            // Who reads it when the wait is over was late.
            woke: cycle
                .stages
                .ns(Stage::Wake)
                .is_some_and(|ns| ns <= until_ns),
            acked: cycle.acked(),
            readers: readers.into_iter().flatten().copied().collect(),
        }
    }

    fn suspect(&mut self, desk: &Desk, now: u64, moment: &AtChangeEnd, about: &[usize]) {
        let mut by_itself = moment.clone();
        for awaited in &mut by_itself.awaited {
            if awaited.readers.is_empty() {
                awaited.readers = vec![moment.tid];
            }
        }
        let Some(first) = about.first() else {
            return;
        };
        self.suspects.push(Suspect {
            irq_index: self.cycles[*first].irq_index,
            tid: moment.tid,
            due: now.saturating_add(desk.options.stuck_ns),
            deadlock: deadlock(&by_itself).map(|found| (Rule::Deadlock, found)),
            missing_ack: missing_ack(moment).map(|found| (Rule::MissingAck, found)),
        });
    }

    /// `tid` reads a remap IRQ's eventfd: was it the one that could not?
    pub(super) fn resolve_suspects(&mut self, desk: &mut Desk, target: Target, tid: u32) {
        let about = |suspect: &mut Suspect| suspect.irq_index == target.index;
        for suspect in self.suspects.extract_if(.., about) {
            let verdict = if suspect.tid == tid && suspect.deadlock.is_some() {
                suspect.deadlock
            } else {
                suspect.missing_ack
            };
            let now = suspect.due.saturating_sub(desk.options.stuck_ns);
            accuse(desk, now, &self.name, verdict);
        }
    }

    /// Records were lost.
    pub(super) fn lose(&mut self, desk: &mut Desk, now: u64) {
        self.lossy = true;
        self.end_episodes(desk, now, ZapEnd::Lost, |_| true);
        self.forget_state(desk, now);
        self.failed = None;
        self.data_left = None;
        self.calls.clear();
        self.candidates.clear();
        self.guesses.values_mut().for_each(Guess::lose);
        self.vectors.values_mut().for_each(Vector::lose);
        self.cycles.iter_mut().for_each(|cycle| cycle.lossy = true);
        let closing = self.closing.iter_mut().map(|(_, change)| change);
        for change in self.changes.iter_mut().chain(closing) {
            change.lossy = true;
        }
        self.suspects.clear();
        self.mappings.forget();
        for facts in self.regions.values_mut() {
            facts.view = None;
            facts.size = None;
            facts.reported_size = None;
            facts.stale = false;
            facts.malformed = None;
        }
        for irq in self.irqs.values_mut() {
            irq.counter.forget();
            irq.next = None;
            irq.readers.clear();
            irq.enabled_certain = false;
        }
    }

    /// The trace ends.
    pub(super) fn end_of_trace(&mut self, desk: &mut Desk, now: u64) {
        self.end(desk, now, Outcome::Incomplete, "the trace ended");
        self.judge_early(desk, now);
        self.judge_vectors(desk, now);
        let since_ns = self.data_left.map(|(ns, _)| now.saturating_sub(ns));
        if since_ns.is_some_and(|ns| ns >= desk.options.stuck_ns) {
            self.tell_data_left(desk);
        }
        if let Some(failed) = self.failed.take() {
            let since_ns = now.saturating_sub(failed.end_ns);
            if since_ns >= desk.options.stuck_ns {
                self.raise(
                    desk,
                    now,
                    &[],
                    state_unknown(failed.to, failed.errno, since_ns),
                );
            }
        }
        self.end_episodes(desk, now, ZapEnd::TraceEnd, |_| true);
        self.end_stay(desk, now, false);
        self.settle_account(desk);
    }

    /// What is only a sum: unread signals, and what happened while the state was not known.
    pub(super) fn settle_account(&mut self, desk: &mut Desk) {
        self.count_unread(desk);
        let unknown = std::mem::take(&mut self.unknown).activity();
        if unknown != Activity::default() {
            desk.stats
                .device(&self.name)
                .migration
                .unknown
                .add(&unknown);
        }
    }

    pub(super) fn end(&mut self, desk: &mut Desk, now: u64, outcome: Outcome, reason: &str) {
        for (_, change) in std::mem::take(&mut self.closing) {
            self.decide(desk, now, change);
        }
        for change in std::mem::take(&mut self.changes) {
            if outcome == Outcome::Incomplete {
                self.judge_change(desk, now, &change);
            }
            let id = change.id;
            self.cut(desk, now, outcome, reason, move |cycle| cycle.inside(id));
            desk.transition(change.finish(&self.name, &[]));
        }
        if outcome == Outcome::Incomplete {
            self.judge_forgotten(desk, now);
        }
        for cycle in &mut self.cycles {
            cycle.due = Some(0);
        }
        self.sweep(desk, now);
        self.cut(desk, now, outcome, reason, |_| true);
        for suspect in std::mem::take(&mut self.suspects) {
            accuse(desk, now, &self.name, suspect.missing_ack);
        }
    }

    /// Triggers that no state change waits for, unacknowledged for so long that it is no accident
    /// of the trace's end: one finding for each IRQ.
    fn judge_forgotten(&mut self, desk: &mut Desk, now: u64) {
        let indexes: Vec<u32> = self.irqs.keys().copied().collect();
        for index in indexes {
            let about = self.places(|cycle| {
                cycle.irq_index == index
                    && !cycle.acked()
                    && !cycle.blamed
                    && !cycle.lossy
                    && now.saturating_sub(cycle.trigger_ns) >= desk.options.stuck_ns
            });
            let Some(first) = about.first().map(|at| &self.cycles[*at]) else {
                continue;
            };
            let what = match (first.encoding, first.stages.has(Stage::Wake)) {
                (Encoding::Bitmap, true) => "was read, and no write to the eventfd followed",
                (Encoding::Vectors, true) => "was read, and no unmask followed",
                (_, false) => "was neither read nor acknowledged",
            };
            let text = format!(
                "the trigger {} before the trace's end {what}",
                Ns(now.saturating_sub(first.trigger_ns))
            );
            let one = about.len() == 1;
            let found = Found {
                region: one.then_some(first.region),
                text,
            };
            self.raise(desk, now, &about, (Rule::MissingAck, found));
        }
    }
}

fn accuse(desk: &mut Desk, now: u64, device: &str, verdict: Option<(Rule, Found)>) {
    if let Some((rule, found)) = verdict {
        desk.finding(now, device, rule, found, None);
    }
}
