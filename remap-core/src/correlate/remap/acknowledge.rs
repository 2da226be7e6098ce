//! Acknowledgements: the triggers that one answers, and its violations.

use std::ops::Range;

use super::cycles::CycleId;
use super::irq::Irq;
use super::observed_ack::ObservedAck;
use super::open_cycle::OpenCycle;
use super::{Acknowledged, Remap};
use crate::correlate::mapping::LiveMappings;
use crate::correlate::moment::Moment;
use crate::correlate::report::Reporter;
use crate::correlate::rules::{AT_ACK, AtAck, judge};
use crate::event::UNKNOWN_INDEX;
use crate::model::{Ack, Rule, Stage};

impl Remap {
    /// An ack answers the triggers that were read before it, or all if none was read.
    pub(super) fn acknowledge(
        &mut self,
        out: &mut Reporter<'_>,
        acked: &ObservedAck<'_>,
        live: &LiveMappings,
    ) {
        let irq = self.irqs.get(&acked.index);
        if irq.is_none() && acked.index != UNKNOWN_INDEX {
            return;
        }
        let false_wake = irq.is_some_and(Irq::woke_falsely);
        let holds_back = irq.is_some_and(Irq::holds_back);
        let meant = self.cycles.ids(|cycle| {
            let region = cycle.trigger.region;
            acked.means(cycle, irq.map_or(region, |irq| irq.sub_of(region)))
        });
        let is_awake = |id: &CycleId| {
            let cycle = self.cycles.get(*id);
            let woke_ns = cycle.and_then(|cycle| cycle.stages.ns(Stage::Wake));
            woke_ns.is_some_and(|ns| ns <= acked.begin_ns)
        };
        let awake: Vec<CycleId> = meant.iter().copied().filter(is_awake).collect();
        if awake.is_empty() && false_wake {
            // It answers the user's own write, and reaches a trigger by accident.
            self.cycles.mark_explained(&meant);
        }
        let answered = if awake.is_empty() { meant } else { awake };
        for id in answered {
            self.judge_ack(out, id, (acked, holds_back), live);
            self.stamp_ack(out, id, acked);
        }
        self.cycles.complete(out, acked.at.ns, live);
    }

    fn judge_ack(
        &mut self,
        out: &mut Reporter<'_>,
        id: CycleId,
        (acked, holds_back): (&ObservedAck<'_>, bool),
        live: &LiveMappings,
    ) {
        let Some(cycle) = self.cycles.get(id) else {
            return;
        };
        let (trigger, again_ns) = (cycle.trigger, cycle.again_ns);
        let facts = AtAck {
            region: trigger.region,
            ack_ns: acked.begin_ns,
            trigger_ns: trigger.ns,
            again_ns,
            holds_back,
            requery_ns: cycle.stages.ns(Stage::Requery),
            forbidden: cycle.forbidden(live),
        };
        let Some(verdict) = judge(AT_ACK, &facts) else {
            return;
        };
        let rule = verdict.rule();
        self.cycles.report(out, acked.at.ns, &[id], verdict);
        if let (Rule::TriggerBeforeAck, Some(again_ns)) = (rule, again_ns) {
            // The signal that came too early has the same cause.
            let too_soon = self.cycles.ids(|cycle| {
                let other = &cycle.trigger;
                (other.irq_index, other.region) == (trigger.irq_index, trigger.region)
                    && other.ns >= again_ns
            });
            self.cycles.mark_explained(&too_soon);
        }
    }

    fn stamp_ack(&mut self, out: &mut Reporter<'_>, id: CycleId, acked: &ObservedAck<'_>) {
        let Some(cycle) = self.cycles.get_mut(id) else {
            return;
        };
        let task = acked.at.task;
        if let Some(after) = &cycle.after {
            self.acknowledged.push(Acknowledged {
                region: cycle.trigger.region,
                allowed: after.areas.to_vec(),
                pid: task.pid,
            });
        }
        cycle.ack = acked.ack;
        cycle.ack_return_ns = Some(acked.at.ns);
        cycle.stages.set(Stage::Ack, acked.begin_ns, task);
        if let Some((ns, source)) = acked.release(cycle) {
            cycle.release(ns, task, source);
        }
        self.cycles.observed(out, id, Stage::Ack);
        self.cycles.observed(out, id, Stage::Released);
    }

    /// A call that may be the ack of an inferred eventfd: the ack, the begin of its call, and the
    /// sub-indexes of an unmask.
    pub(super) fn acknowledge_inferred(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        (ack, begin_ns, subs): (Ack, u64, Option<Range<u32>>),
        live: &LiveMappings,
    ) {
        if self.inferred.is_empty() {
            return;
        }
        let waiting =
            |cycle: &OpenCycle| cycle.trigger.irq_index == UNKNOWN_INDEX && !cycle.acked();
        let acked = ObservedAck {
            index: UNKNOWN_INDEX,
            // The sub-indexes of the cycles only matter if several wait.
            subs: subs.filter(|_| self.cycles.ids(waiting).len() > 1),
            ack,
            begin_ns,
            at,
        };
        self.acknowledge(out, &acked, live);
    }
}
