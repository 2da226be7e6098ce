//! The remap IRQ: its eventfds, and the cycle that each of its signals begins.

mod acknowledge;
mod counter;
mod cycles;
mod facts;
mod inferred;
mod irq;
mod judge;
mod observed_ack;
mod open_cycle;
mod pending_deadlock;
mod setting;
mod signal;

use std::collections::BTreeMap;

use remap_common::uapi::VFIO_PCI_NUM_IRQS;

use super::change::{InFlightChange, ReturnedChange, Wait};
use super::irq::Interrupts;
use super::mapping::LiveMappings;
use super::moment::Moment;
use super::region::{Described, Malformed};
use super::report::Reporter;
use super::rules::{AT_QUERY, AtQuery, judge, malformed_irq_info};
use crate::event::{Answer, ContextKey, Errno, Origin, Place};
use crate::model::{Inferred, Outcome, Output, Reason, ReleasedSource, Stage, View};
use cycles::Cycles;
pub(super) use facts::{Acknowledged, ChangeEnd, Requery, TriggerFacts};
use inferred::InferredEventfds;
use irq::Irq;
pub(super) use open_cycle::Cut;
use open_cycle::OpenCycle;
use pending_deadlock::PendingDeadlock;

/// The driver's last signal for a region.
#[derive(Clone, Copy, Debug, Default)]
struct Named {
    /// When it came.
    last_ns: Option<u64>,
    /// A state change that named it failed: the driver names it again.
    given_back: bool,
}

/// The remap IRQs of one device.
#[derive(Debug, Default)]
pub(super) struct Remap {
    irqs: BTreeMap<u32, Irq>,
    /// Eventfds that are inferred to be the device's.
    inferred: InferredEventfds,
    cycles: Cycles,
    /// By region.
    named: BTreeMap<u32, Named>,
    /// User space queried an IRQ index beyond those of vfio-pci.
    asked: bool,
    /// The last malformed description of each IRQ index.
    malformed: BTreeMap<u32, Malformed>,
    /// When a state change last began.
    last_change_ns: Option<u64>,
    /// Possible deadlocks.
    pending: Vec<PendingDeadlock>,
    /// Cycles that were acknowledged since [`Self::acknowledged`].
    acknowledged: Vec<Acknowledged>,
}

impl Remap {
    /// How much is stored ([`super::room`]).
    pub(super) fn room(&self) -> usize {
        let irqs: usize = self.irqs.values().map(Irq::room).sum();
        let described = irqs + 2 * self.named.len() + 4 * self.malformed.len();
        described + self.cycles.room() + self.inferred.room() + 4 * self.pending.len()
    }

    /// Whether nothing is open that a later time decides.
    pub(super) fn is_quiet(&self) -> bool {
        let quiet = self.irqs.values().all(Irq::is_quiet);
        quiet && self.cycles.is_empty() && self.pending.is_empty()
    }

    /// Whether an IRQ index is that of a remap IRQ.
    pub(super) fn is_remap(&self, index: u32) -> bool {
        self.irqs.contains_key(&index)
    }

    /// The regions whose trigger is not acknowledged, in order.
    pub(super) fn unanswered(&self) -> Vec<u32> {
        let cycles = self.cycles.iter().filter(|cycle| !cycle.acked());
        let mut regions: Vec<u32> = cycles.map(|cycle| cycle.trigger.region).collect();
        regions.sort_unstable();
        regions.dedup();
        regions
    }

    /// Whether a state change may wait for a trigger that is not acknowledged.
    pub(super) fn is_awaited_by(&self, change: u64) -> bool {
        let open = |cycle: &OpenCycle| cycle.awaited_by(change) && !cycle.acked();
        self.cycles.any(open)
    }

    /// What was acknowledged since the last call.
    pub(super) fn acknowledged(&mut self) -> Vec<Acknowledged> {
        std::mem::take(&mut self.acknowledged)
    }

    /// `GET_IRQ_INFO` returned. `eventfds`: those that the index is enabled with.
    pub(super) fn irq_info(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        index: u32,
        answer: Result<&Answer, Errno>,
        eventfds: &BTreeMap<u32, ContextKey>,
    ) {
        let answered = matches!(
            answer,
            Err(_) | Ok(Answer::Irq(_) | Answer::Malformed { .. })
        );
        self.asked |= index >= VFIO_PCI_NUM_IRQS && answered;
        match answer {
            Ok(Answer::Irq(info)) => {
                self.malformed.remove(&index);
                if let Some(remap) = info.remap {
                    let certain = !out.device.lossy;
                    self.irqs
                        .entry(index)
                        .or_insert_with(|| Irq::new(info, remap, eventfds, certain))
                        .described(info, remap);
                }
            }
            Ok(Answer::Malformed { reason, digest }) => {
                let repeated = self.malformed.entry(index).or_default();
                let times = repeated.came(reason, *digest);
                if times < 2 {
                    let verdict = malformed_irq_info(index, reason.clone(), times > 0);
                    out.finding(now, verdict);
                }
            }
            _ => {}
        }
    }

    /// An eventfd is inferred to be the device's.
    pub(super) fn infer(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        context: ContextKey,
        origin: Origin,
    ) {
        self.inferred.infer(context, origin);
        let device = out.name();
        out.emit(Output::Inferred(Inferred {
            device,
            time_ns: at.ns,
            origin,
            region: None,
            task: at.task.clone(),
        }));
    }

    /// A region was queried; `before`: the facts about it until then. The signals of inferred
    /// eventfds that this may answer become cycles.
    pub(super) fn claim(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        region: u32,
        before: Option<&Described>,
    ) {
        for cycle in self.inferred.claim(at.task.pid, region, before) {
            let id = self.cycles.open(cycle);
            self.cycles.observed(out, id, Stage::Trigger);
            self.cycles.observed(out, id, Stage::Wake);
        }
    }

    /// A description of a region came back, or was refused.
    pub(super) fn described(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        requery: &Requery<'_>,
        live: &LiveMappings,
    ) {
        let (region, begin_ns) = (requery.region, requery.begin_ns);
        let about = self
            .cycles
            .ids(|cycle| cycle.awaits_description(region, at.task.pid, begin_ns));
        let woke = |id| self.cycles.get(id).is_some_and(OpenCycle::woke);
        let facts = AtQuery {
            region,
            result: requery.result.cloned(),
            size: requery.before.size,
            was_stale: requery.before.stale,
            awaited: about.iter().any(|id| woke(*id)),
            confirmed: requery.before.confirmed,
        };
        // A user may query often. The first time, the answer may be another thread's; the second
        // time it is the driver's.
        let verdict = judge(AT_QUERY, &facts).filter(|_| match requery.before.repeated {
            0 => true,
            1 => requery.before.confirmed,
            _ => false,
        });
        if let Some(verdict) = verdict {
            self.cycles.report(out, at.ns, &about, verdict);
        }
        let Ok(Answer::Region(description)) = requery.result else {
            return;
        };
        for id in about {
            if let Some(cycle) = self.cycles.get_mut(id) {
                let view = View::of(description);
                cycle.requery((at.ns, at.task), view, live, self.last_change_ns);
            }
            self.cycles.observed(out, id, Stage::Requery);
        }
    }

    /// A part of a region was mapped.
    pub(super) fn mapped(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        region: u32,
        live: &LiveMappings,
    ) {
        for id in self.cycles.ids(|cycle| cycle.trigger.region == region) {
            let cycle = self.cycles.get_mut(id);
            if cycle.is_some_and(|cycle| cycle.map(at.ns, at.task)) {
                self.cycles.observed(out, id, Stage::Map);
            }
        }
        self.cycles.complete(out, at.ns, live);
    }

    /// A mapping was refused: the driver has trapped the region meanwhile.
    pub(super) fn map_refused(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        region: u32,
        live: &LiveMappings,
    ) {
        for cycle in self.cycles.iter_mut() {
            if cycle.trigger.region == region {
                cycle.refuse_map(at.task.pid);
            }
        }
        self.cycles.complete(out, at.ns, live);
    }

    /// A mapping, or a part of one, was removed.
    pub(super) fn unmapped(&mut self, out: &mut Reporter<'_>, at: Moment<'_>, place: Place) {
        for id in self
            .cycles
            .ids(|cycle| cycle.trigger.region == place.region)
        {
            let cycle = self.cycles.get_mut(id);
            if cycle.is_some_and(|cycle| cycle.unmap(at.ns, at.task, place.area)) {
                self.cycles.observed(out, id, Stage::Unmap);
            }
        }
    }

    /// A state change begins.
    pub(super) fn change_began(&mut self, change: InFlightChange) {
        self.cycles.change_began(change.reference.id);
        self.last_change_ns = Some(change.reference.begin_ns);
    }

    /// A state change returned: the driver continues, or gives back the regions.
    pub(super) fn change_returned(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        change: &ReturnedChange,
        live: &LiveMappings,
    ) {
        let reference = change.reference;
        self.cycles.change_began(reference.id);
        let mut named = Vec::new();
        for id in self.cycles.ids(|_| true) {
            let Some(cycle) = self.cycles.get_mut(id) else {
                continue;
            };
            cycle.adopt(change);
            if !cycle.awaited_by(reference.id) {
                continue;
            }
            if cycle.is_given_back_by(change) {
                cycle.give_back();
                self.cycles.observed(out, id, Stage::Released);
                continue;
            }
            cycle.change_end = Some((change.end_ns, change.result));
            named.push(cycle.trigger.region);
            if change.result.is_ok() && cycle.acked() && !cycle.released() {
                cycle.release(at.ns, at.task, ReleasedSource::StateChange);
                self.cycles.observed(out, id, Stage::Released);
            }
        }
        if change.result.is_err() {
            self.expect_given_back(&named);
        }
        self.cycles.complete(out, at.ns, live);
    }

    /// A state change that named these regions failed: the driver gives them back and names them
    /// again, now or after a late ack.
    fn expect_given_back(&mut self, named: &[u32]) {
        for region in named {
            let given_back = |cycle: &OpenCycle| !cycle.awaited && cycle.trigger.region == *region;
            if !self.cycles.any(given_back) {
                self.named.entry(*region).or_default().given_back = true;
            }
        }
    }

    /// A state change is decided. Returns the times in which it can have waited for user space.
    pub(super) fn change_over(&mut self, change: u64) -> Vec<Wait> {
        let mut waits = self.cycles.answered(change).waits;
        let open = self.cycles.iter();
        let open = open.filter(|cycle| cycle.awaited_by(change));
        waits.extend(open.map(OpenCycle::wait));
        self.cycles.change_over(change);
        waits
    }

    /// A state change failed: ends the cycles that it may have waited for.
    pub(super) fn change_failed(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        (change, reason, unacked): (u64, Reason, Outcome),
        live: &LiveMappings,
    ) {
        let inside = move |cycle: &OpenCycle| cycle.awaited_by(change);
        self.cycles
            .cut(out, now, live, Cut::aborted(reason), move |cycle| {
                inside(cycle) && cycle.acked()
            });
        let cut = Cut {
            outcome: unacked,
            reason,
        };
        self.cycles.cut(out, now, live, cut, inside);
    }

    /// The return of a state change was not observed: ends the cycles that began in it.
    pub(super) fn change_cut(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        (change, cut): (u64, Cut),
        live: &LiveMappings,
    ) {
        self.cycles
            .cut(out, now, live, cut, move |cycle| cycle.inside(change));
    }

    /// Decides what has waited long enough.
    pub(super) fn settle(&mut self, out: &mut Reporter<'_>, now: u64, live: &LiveMappings) {
        self.cycles.complete(out, now, live);
        self.decide_pending(out, now, |pending| pending.is_due(now));
    }

    /// Signals may have been lost.
    pub(super) fn lose_signals(&mut self) {
        self.irqs.values_mut().for_each(Irq::lose_signals);
    }

    /// Whether a signal of a remap IRQ may be missing that no read has shown yet.
    pub(super) fn has_gap(&self, interrupts: &Interrupts) -> bool {
        self.irqs.keys().any(|index| interrupts.has_gap(*index))
    }

    /// Records were lost.
    pub(super) fn lose(&mut self) {
        self.inferred.lose();
        self.cycles.iter_mut().for_each(|cycle| cycle.lossy = true);
        self.pending.clear();
        self.irqs.values_mut().for_each(Irq::lose);
    }

    /// The device was closed, or the trace ended: ends all cycles.
    pub(super) fn end(&mut self, out: &mut Reporter<'_>, now: u64, cut: Cut, live: &LiveMappings) {
        for cycle in self.cycles.iter_mut() {
            cycle.due_ns = Some(0);
        }
        self.cycles.complete(out, now, live);
        self.cycles.cut(out, now, live, cut, |_| true);
        self.decide_pending(out, now, |_| true);
    }

    /// The device was closed, after [`Self::end`].
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }
}
