//! The remap IRQ's part in state changes that failed or do not return; triggers without an ack.

use super::Remap;
use super::cycles::CycleId;
use super::facts::ChangeEnd;
use super::irq::Irq;
use super::open_cycle::OpenCycle;
use super::pending_deadlock::PendingDeadlock;
use crate::correlate::report::Reporter;
use crate::correlate::rules::{
    AT_CHANGE_END, AtChangeEnd, Awaited, deadlock, forgotten_trigger, judge, missing_ack,
};
use crate::model::{Rule, Stage};

impl Remap {
    /// Judges a state change that failed, or that does not return. Returns whether its failure is
    /// explained, or cannot be judged because records were lost.
    pub(in crate::correlate) fn judge_change(
        &mut self,
        out: &mut Reporter<'_>,
        change: &ChangeEnd,
    ) -> bool {
        let reference = change.reference;
        // Its own triggers, and older ones that were not acknowledged: a driver may have to delay
        // its signal until then.
        let about = self.cycles.ids(|cycle| {
            let older = cycle.trigger.ns < reference.begin_ns;
            cycle.awaited_by(reference.id) || (older && !cycle.acked() && !cycle.is_settled())
        });
        let open = about.iter().filter_map(|id| self.cycles.get(*id));
        let settled = self.cycles.answered(reference.id).is_settled;
        let unseen = about.is_empty() && !change.signals_complete;
        if change.lossy || unseen || settled || open.clone().any(OpenCycle::is_settled) {
            return true;
        }
        let awaited = open.map(|cycle| self.awaited(cycle, change.end_ns));
        let facts = AtChangeEnd {
            change: change.facts.clone(),
            enabled: self.is_enabled(),
            never_asked: self.never_asked(out),
            awaited: awaited.collect(),
        };
        let Some(verdict) = judge(AT_CHANGE_END, &facts) else {
            return false;
        };
        let unknown_reader = |awaited: &Awaited| !awaited.woke && awaited.readers.is_empty();
        if verdict.rule() == Rule::MissingAck && facts.awaited.iter().any(unknown_reader) {
            self.cycles.mark_explained(&about);
            self.wait_for_reader(out, change.end_ns, facts, &about);
        } else {
            self.cycles.report(out, change.end_ns, &about, verdict);
        }
        true
    }

    /// Whether the remap IRQs are enabled; `None` without one, or after a loss.
    fn is_enabled(&self) -> Option<bool> {
        let enabled: Vec<Option<bool>> = self.irqs.values().map(Irq::is_enabled).collect();
        match enabled.as_slice() {
            [] => None,
            irqs if irqs.contains(&Some(false)) => Some(false),
            irqs if irqs.contains(&None) => None,
            _ => Some(true),
        }
    }

    /// Whether the device has a vendor driver, and user space has not looked for its remap IRQ.
    fn never_asked(&self, out: &Reporter<'_>) -> Option<bool> {
        let driver = out.device.driver.as_deref();
        let driver = driver.filter(|_| !out.device.lossy)?;
        let known = self.asked || !self.irqs.is_empty() || !self.inferred.is_empty();
        Some(driver != "vfio-pci" && !known)
    }

    /// The facts about a cycle that a state change waited for until `until_ns`.
    fn awaited(&self, cycle: &OpenCycle, until_ns: u64) -> Awaited {
        let trigger = &cycle.trigger;
        let irq = self.irqs.get(&trigger.irq_index);
        // A read after the wait was late.
        let woke_ns = cycle.stages.ns(Stage::Wake);
        Awaited {
            region: trigger.region,
            encoding: trigger.encoding,
            woke: woke_ns.is_some_and(|ns| ns <= until_ns),
            acked: cycle.acked(),
            readers: irq.map_or_else(Vec::new, |irq| irq.readers_of(trigger.region)),
        }
    }

    /// The next reader of the eventfd decides whether it was a deadlock.
    fn wait_for_reader(
        &mut self,
        out: &Reporter<'_>,
        end_ns: u64,
        facts: AtChangeEnd,
        about: &[CycleId],
    ) {
        let Some(first) = about.first().and_then(|id| self.cycles.get(*id)) else {
            return;
        };
        let tid = facts.change.tid;
        let missing_ack = missing_ack(&facts);
        let mut by_itself = facts;
        for awaited in &mut by_itself.awaited {
            if awaited.readers.is_empty() {
                awaited.readers = vec![tid];
            }
        }
        self.pending.push(PendingDeadlock {
            irq_index: first.trigger.irq_index,
            tid,
            end_ns,
            due_ns: end_ns.saturating_add(out.options().stuck_ns),
            deadlock: deadlock(&by_itself),
            missing_ack,
        });
    }

    /// `tid` reads an eventfd of this IRQ: a deadlock, if it is the thread that changed the state.
    pub(super) fn resolve_pending(&mut self, out: &mut Reporter<'_>, irq_index: u32, tid: u32) {
        let about = |pending: &mut PendingDeadlock| pending.irq_index == irq_index;
        for pending in self.pending.extract_if(.., about) {
            let own = pending.deadlock.filter(|_| pending.tid == tid);
            if let Some(verdict) = own.or(pending.missing_ack) {
                out.finding(pending.end_ns, verdict);
            }
        }
    }

    /// No thread has read the eventfd in time: a missing ack.
    pub(super) fn decide_pending(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        wanted: impl Fn(&PendingDeadlock) -> bool,
    ) {
        for pending in self.pending.extract_if(.., |pending| wanted(pending)) {
            if let Some(verdict) = pending.missing_ack {
                out.finding(now, verdict);
            }
        }
    }

    /// The trace ends: reports old triggers without an ack that no state change waits for. One
    /// finding for each IRQ.
    pub(in crate::correlate) fn judge_forgotten(&mut self, out: &mut Reporter<'_>, now: u64) {
        let stuck_ns = out.options().stuck_ns;
        let indexes: Vec<u32> = self.irqs.keys().copied().collect();
        for index in indexes {
            let about = self.cycles.ids(|cycle| {
                let trigger = &cycle.trigger;
                trigger.irq_index == index
                    && !cycle.acked()
                    && !cycle.is_settled()
                    && now.saturating_sub(trigger.ns) >= stuck_ns
            });
            let Some(first) = about.first().and_then(|id| self.cycles.get(*id)) else {
                continue;
            };
            let trigger = &first.trigger;
            let region = (about.len() == 1).then_some(trigger.region);
            let since_ns = now.saturating_sub(trigger.ns);
            let verdict = forgotten_trigger(region, trigger.encoding, first.woke(), since_ns);
            self.cycles.report(out, now, &about, verdict);
        }
    }
}
