//! Calls on a device: descriptions, enabling, mappings and state changes.

use std::ops::Range;

use remap_common::uapi::VFIO_PCI_NUM_IRQS;

use super::ack::Acked;
use super::device::{Device, Irq, Known};
use super::report::Desk;
use super::rule::{AT_QUERY, AtQuery, Found, judge};
use super::signal::CutOff;
use crate::event::{Answer, Call, ContextKey, Errno, Event, IrqAction, IrqData, Role, Target};
use crate::model::{Ack, AckForm, Rule, Stage, View};
use crate::parse::region::Region;

/// The return of a call.
pub(super) struct Exit<'a> {
    pub(super) begin_ns: u64,
    pub(super) result: Result<i64, Errno>,
    pub(super) answer: &'a Answer,
    /// Records were lost while it ran.
    pub(super) lossy: bool,
}

/// Sub-indexes that a `SET_IRQS` names.
struct Named<'a> {
    index: u32,
    start: u32,
    count: u32,
    /// The eventfds that it looked up.
    contexts: &'a [(Target, ContextKey)],
}

impl Named<'_> {
    fn subs(&self) -> Range<u32> {
        self.start..self.start.saturating_add(self.count)
    }

    /// The eventfd that `sub` got.
    fn context(&self, sub: u32) -> Option<ContextKey> {
        let mut contexts = self.contexts.iter();
        contexts
            .find(|(target, _)| {
                (target.index, target.sub, target.role) == (self.index, sub, Role::Trigger)
            })
            .map(|(_, context)| *context)
    }
}

fn one(sub: u32) -> Range<u32> {
    sub..sub.saturating_add(1)
}

impl Device {
    pub(super) fn enter(&mut self, desk: &mut Desk, event: &Event, call: &Call) {
        self.early_over(desk, event, None);
        self.calls.insert(event.task.tid, call.clone());
        if let Call::Feature { data, .. } = call
            && call.changes_state()
        {
            self.begin_change(desk, event, data.state(), false);
        }
    }

    pub(super) fn exit(&mut self, desk: &mut Desk, event: &Event, call: &Call, exit: &Exit<'_>) {
        let success = exit.result.is_ok();
        match call {
            Call::GetRegionInfo { index } => {
                if success {
                    self.guess_requery(desk, event, *index);
                }
                self.region_info(desk, event, *index, exit);
            }
            Call::GetIrqInfo { index } => {
                let told = matches!(exit.answer, Answer::Irq(_) | Answer::Malformed(_));
                self.asked |= *index >= VFIO_PCI_NUM_IRQS && (told || !success);
                if success {
                    self.irq_info(desk, event, *index, exit.answer);
                }
            }
            Call::SetIrqs {
                index,
                start,
                count,
                action,
                data,
            } => {
                let contexts = self.candidates.remove(&event.task.tid).unwrap_or_default();
                let named = Named {
                    index: *index,
                    start: *start,
                    count: *count,
                    contexts: &contexts,
                };
                if success {
                    self.set_irqs(desk, event, &named, *action, data, exit);
                } else if let (IrqAction::Trigger, Some(irq)) = (*action, self.irqs.get_mut(index))
                {
                    // Some may have been set before it failed.
                    irq.enabled_certain = false;
                    irq.next = None;
                }
                self.irq_call(desk, event, &contexts);
            }
            Call::Feature { data, .. } if call.changes_state() => {
                self.end_change(desk, event, data.state(), false, exit);
            }
            Call::Feature { feature, op, data } => {
                self.feature(desk, event, (*feature, *op, *data), exit);
            }
            Call::Reset | Call::HotReset if success => self.reset(desk, event, exit.begin_ns),
            _ => {}
        }
        self.calls.remove(&event.task.tid);
        self.zapped(event.task.tid);
    }

    /// A reset succeeded: the device runs.
    fn reset(&mut self, desk: &mut Desk, event: &Event, begin_ns: u64) {
        self.tell_data_left(desk);
        self.end_stay(desk, begin_ns, true);
        self.state = Known::Running;
        self.failed = None;
        if let Some(legacy) = self.legacy
            && let Some(state) = self.state.get(legacy)
        {
            self.begin_stay((state, event.time_ns), true, None, &event.task);
        }
    }

    fn region_info(&mut self, desk: &mut Desk, event: &Event, index: u32, exit: &Exit<'_>) {
        let now = event.time_ns;
        // The cycles that this query is an answer to.
        let about = self.places(|cycle| {
            let since_ns = cycle.stages.ns(Stage::Wake).unwrap_or(cycle.trigger_ns);
            cycle.region == index
                && !cycle.acked()
                && cycle.answers(event.task.pid)
                && since_ns <= exit.begin_ns
        });
        let facts = self.regions.entry(index).or_default();
        let moment = AtQuery {
            region: index,
            result: exit.result.map(|_| exit.answer.clone()),
            size: facts.size,
            was_stale: facts.stale,
            awaited: about.iter().any(|at| self.cycles[*at].woke()),
        };
        let verdict = judge(AT_QUERY, &moment).filter(|verdict| is_news(facts, verdict, exit));
        if let Some(verdict) = verdict {
            self.raise(desk, now, &about, verdict);
        }
        let (Ok(_), Answer::Region(region)) = (exit.result, exit.answer) else {
            return;
        };
        let view = View::of(region);
        let last_change_ns = self.last_change_ns;
        for at in about {
            let cycle = &mut self.cycles[at];
            cycle.requery(now, &event.task, view.clone(), &self.mappings);
            // Whether it is fair to compare: no state change but the trigger's own began since
            // the region was last described.
            let own_ns = cycle.transition.map(|reference| reference.begin_ns);
            let since_ns = own_ns.or(cycle.before_ns);
            cycle.comparable &=
                cycle.before_ns <= since_ns && last_change_ns.is_none_or(|ns| Some(ns) <= since_ns);
            self.observed(desk, at, Stage::Requery);
        }
        self.learn(index, region, view, now);
    }

    fn learn(&mut self, index: u32, region: &Region, view: View, now: u64) {
        let facts = self.regions.entry(index).or_default();
        facts.view = Some((view, now));
        facts.size.get_or_insert(region.size);
        facts.stale = region.stale_sparse;
        facts.kind = region.kind.or(facts.kind);
        facts.malformed = None;
        if facts.size == Some(region.size) {
            facts.reported_size = None;
        }
    }

    fn irq_info(&mut self, desk: &mut Desk, event: &Event, index: u32, answer: &Answer) {
        match answer {
            Answer::Irq(info) => {
                self.malformed_irqs.remove(&index);
                let Some(remap) = info.remap else {
                    return;
                };
                let mut fresh = Irq::new(info, remap);
                // It may have been enabled, or found enabled, before it was described.
                for ((_, sub), vector) in self.vectors.range((index, 0)..=(index, u32::MAX)) {
                    if vector.is_enabled() {
                        fresh.enabled.insert(*sub);
                        fresh.context = vector.context();
                    }
                }
                fresh.enabled_certain = !self.lossy;
                let irq = self.irqs.entry(index).or_insert_with(|| fresh.clone());
                irq.remap = remap;
                irq.automasked = fresh.automasked;
            }
            Answer::Malformed(reason) => {
                let last = self.malformed_irqs.insert(index, reason.clone());
                if last.as_ref() != Some(reason) {
                    let found = Found {
                        region: None,
                        text: format!("IRQ index {index}: {reason}"),
                    };
                    self.raise(desk, event.time_ns, &[], (Rule::MalformedIrqInfo, found));
                }
            }
            _ => {}
        }
    }

    fn set_irqs(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        named: &Named<'_>,
        action: IrqAction,
        data: &IrqData,
        exit: &Exit<'_>,
    ) {
        let index = named.index;
        match (action, data) {
            (IrqAction::Trigger, IrqData::None) if named.count == 0 => {
                let cut = CutOff {
                    index,
                    subs: None,
                    before_ns: event.time_ns,
                    reason: "the IRQ was disabled",
                };
                self.cut_off(desk, event.time_ns, &cut);
            }
            (IrqAction::Trigger, IrqData::Eventfd(fds)) => {
                self.set_eventfds(desk, event, named, fds, exit.begin_ns);
            }
            (IrqAction::Unmask, IrqData::None) => {
                self.unmask(desk, event, index, named.subs(), exit.begin_ns);
            }
            (IrqAction::Unmask, IrqData::Bool(bits)) => {
                for (sub, bit) in named.subs().zip(bits) {
                    if *bit {
                        self.unmask(desk, event, index, one(sub), exit.begin_ns);
                    }
                }
            }
            _ => {}
        }
    }

    /// New eventfds, or none: what was signalled on the old ones is not awaited any more.
    fn set_eventfds(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        named: &Named<'_>,
        fds: &[i32],
        begin_ns: u64,
    ) {
        if !self.irqs.contains_key(&named.index) {
            return;
        }
        // Not all numbers may have been captured; the contexts behind the others were seen.
        let missing = |sub: u32| match fds.get((sub - named.start) as usize) {
            Some(fd) => *fd < 0,
            None => named.context(sub).is_none(),
        };
        // No remap IRQ has more sub-indexes than a mask has bits.
        for sub in named.subs().take(u64::BITS as usize) {
            let missing = missing(sub);
            let cut = CutOff {
                index: named.index,
                subs: Some(one(sub)),
                before_ns: begin_ns,
                reason: if missing {
                    "the IRQ was disabled"
                } else {
                    "the IRQ was enabled anew"
                },
            };
            self.cut_off(desk, event.time_ns, &cut);
            let before = self.vectors.get(&(named.index, sub));
            let same = named
                .context(sub)
                .is_none_or(|context| before.is_some_and(|vector| vector.has(context)));
            if let Some(irq) = self.irqs.get_mut(&named.index).filter(|_| !missing) {
                irq.enabled.insert(sub);
                if let Some(context) = named.context(sub) {
                    irq.counts_on(context);
                }
                if !same {
                    irq.readers.remove(&sub);
                }
            }
        }
    }

    fn unmask(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        index: u32,
        subs: Range<u32>,
        begin_ns: u64,
    ) {
        if index >= VFIO_PCI_NUM_IRQS && !self.irqs.contains_key(&index) {
            let ack = Ack {
                form: AckForm::Unmask,
                value: None,
            };
            self.guess_ack(desk, event, begin_ns, Some(subs), ack);
            return;
        }
        let acked = Acked {
            index,
            subs: Some(subs),
            ack: Ack {
                form: AckForm::Unmask,
                value: None,
            },
            begin_ns,
            end_ns: event.time_ns,
            task: &event.task,
        };
        self.acknowledge(desk, &acked);
    }
}

/// Whether a verdict on a description says more than the one before: a description is asked for
/// again and again.
fn is_news(
    facts: &mut super::device::RegionFacts,
    verdict: &(Rule, Found),
    exit: &Exit<'_>,
) -> bool {
    match (verdict.0, exit.answer) {
        (Rule::MalformedRegionInfo, Answer::Malformed(reason)) => {
            facts.malformed.replace(reason.clone()).as_ref() != Some(reason)
        }
        (Rule::SizeChanged, Answer::Region(region)) => {
            facts.reported_size.replace(region.size) != Some(region.size)
        }
        _ => true,
    }
}
