//! Acknowledgements: which triggers one answers, and what is wrong with it.

use std::ops::Range;

use super::device::{Device, sub_of};
use super::report::Desk;
use super::rule::{AT_ACK, AtAck, judge};
use crate::event::{Task, UNKNOWN_INDEX};
use crate::model::{Ack, ReleasedSource, Rule, Stage};
use crate::parse::irq::{Encoding, RemapIrq};

/// What stands for the description of an IRQ that is inferred.
const UNKNOWN_REMAP: RemapIrq = RemapIrq {
    encoding: Encoding::Vectors,
    base: 0,
    mask: None,
};

/// An acknowledgement that was observed.
pub(super) struct Acked<'a> {
    pub(super) index: u32,
    /// The sub-indexes that it is about; `None` for all.
    pub(super) subs: Option<Range<u32>>,
    pub(super) ack: Ack,
    pub(super) begin_ns: u64,
    pub(super) end_ns: u64,
    pub(super) task: &'a Task,
}

impl Device {
    /// An ack answers the triggers that were read before it; one that nobody read before it, all.
    pub(super) fn acknowledge(&mut self, desk: &mut Desk, acked: &Acked<'_>) {
        let begin_ns = acked.begin_ns;
        let (holds_back, false_wake, remap) = match self.irqs.get(&acked.index) {
            Some(irq) => (irq.holds_back(), irq.counter.false_wake, irq.remap),
            None if acked.index == UNKNOWN_INDEX => (false, false, UNKNOWN_REMAP),
            None => return,
        };
        let meant = self.places(|cycle| {
            // A state change that failed before waits no more.
            let late = matches!(cycle.change_end, Some((end_ns, Err(_))) if begin_ns > end_ns);
            cycle.irq_index == acked.index
                && !cycle.acked()
                && !late
                && cycle.trigger_ns <= begin_ns
                && acked
                    .subs
                    .as_ref()
                    .is_none_or(|subs| subs.contains(&sub_of(remap, cycle.region)))
        });
        let awake: Vec<usize> = meant
            .iter()
            .copied()
            .filter(|at| {
                let woke_ns = self.cycles[*at].stages.ns(Stage::Wake);
                woke_ns.is_some_and(|ns| ns <= begin_ns)
            })
            .collect();
        let answered = if awake.is_empty() {
            if false_wake {
                // It answers the user's own write, and hits a trigger by accident.
                self.blame(&meant);
            }
            meant
        } else {
            awake
        };
        for at in answered {
            self.judge_ack(desk, at, acked, holds_back);
            self.stamp_ack(desk, at, acked);
        }
        self.sweep(desk, acked.end_ns);
    }

    fn judge_ack(&mut self, desk: &mut Desk, at: usize, acked: &Acked<'_>, holds_back: bool) {
        let cycle = &self.cycles[at];
        let forbidden = match &cycle.after {
            Some(after) => self.mappings.forbidden(cycle.region, &after.areas),
            None => Vec::new(),
        };
        let moment = AtAck {
            region: cycle.region,
            ack_ns: acked.begin_ns,
            trigger_ns: cycle.trigger_ns,
            again_ns: cycle.again_ns,
            holds_back,
            requery_ns: cycle.stages.ns(Stage::Requery),
            forbidden,
        };
        let Some(verdict) = judge(AT_ACK, &moment) else {
            return;
        };
        let (rule, region, index) = (verdict.0, cycle.region, cycle.irq_index);
        let again_ns = cycle.again_ns;
        self.raise(desk, acked.end_ns, &[at], verdict);
        if rule == Rule::TriggerBeforeAck {
            // The signal that came too early suffers from the same cause.
            let early = self.places(|cycle| {
                cycle.irq_index == index
                    && cycle.region == region
                    && again_ns.is_some_and(|ns| cycle.trigger_ns >= ns)
            });
            self.blame(&early);
        }
    }

    fn stamp_ack(&mut self, desk: &mut Desk, at: usize, acked: &Acked<'_>) {
        let cycle = &mut self.cycles[at];
        if let Some(after) = &cycle.after {
            let allowed = (cycle.region, after.areas.clone(), acked.task.pid);
            self.acked.push(allowed);
        }
        cycle.ack = acked.ack;
        cycle.ack_return_ns = Some(acked.end_ns);
        cycle.stages.set(Stage::Ack, acked.begin_ns, acked.task);
        let released = match (cycle.awaited, cycle.change_end) {
            // The state change still runs, or has failed: its end decides.
            (true, None) | (_, Some((_, Err(_)))) => None,
            // It was in flight at the ack, and its return was recorded before the ack's.
            (true, Some((end_ns, Ok(())))) if acked.begin_ns <= end_ns => {
                Some((end_ns, ReleasedSource::StateChange))
            }
            _ => Some((acked.end_ns, ReleasedSource::AckReturn)),
        };
        if let Some((ns, source)) = released {
            cycle.stages.set(Stage::Released, ns, acked.task);
            cycle.released_source = Some(source);
        }
        self.observed(desk, at, Stage::Ack);
        self.observed(desk, at, Stage::Released);
    }
}
