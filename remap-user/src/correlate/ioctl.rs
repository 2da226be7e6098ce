//! Calls on a device: descriptions, enabling, mappings and state changes.

use super::cycle::{Ack, AckForm, ReleasedSource, Stage, View};
use super::device::{Device, Irq, Known};
use super::finding::{AT_QUERY, AtQuery, Found, Rule, judge};
use super::report::Desk;
use super::signal::Acked;
use super::transition::{Change, FEATURE_MIG_DEVICE_STATE, LEGACY_MIGRATION_REGION};
use crate::event::{Answer, Call, DeviceState, Errno, Event, FeatureOp, IrqAction, IrqData};
use crate::vfio::region::{Area, Region};

/// The return of a call.
pub(super) struct Exit<'a> {
    pub(super) begin_ns: u64,
    pub(super) result: Result<i64, Errno>,
    pub(super) answer: &'a Answer,
    /// Records were lost while it ran.
    pub(super) lossy: bool,
}

/// Whether a call changes the migration state.
fn changes_state(feature: u32, op: FeatureOp) -> bool {
    feature == FEATURE_MIG_DEVICE_STATE && op.set && !op.probe
}

impl Device {
    pub(super) fn enter(&mut self, desk: &mut Desk, event: &Event, call: &Call) {
        if let Call::Feature { feature, op, state } = call
            && changes_state(*feature, *op)
        {
            self.begin_change(desk, event, *state, false);
        }
    }

    pub(super) fn exit(&mut self, desk: &mut Desk, event: &Event, call: &Call, exit: &Exit<'_>) {
        let success = exit.result.is_ok();
        match call {
            Call::GetRegionInfo { index } => self.region_info(desk, event, *index, exit),
            Call::GetIrqInfo { index } if success => {
                self.irq_info(desk, event, *index, exit.answer)
            }
            Call::SetIrqs {
                index,
                start,
                count,
                action,
                data,
            } if success => {
                self.set_irqs(desk, event, *index, (*start, *count), *action, data, exit)
            }
            Call::Feature { feature, op, state } if changes_state(*feature, *op) => {
                self.end_change(desk, event, *state, false, exit);
            }
            Call::Feature { feature, op, .. }
                if success && *feature == FEATURE_MIG_DEVICE_STATE && op.get && !op.probe =>
            {
                if let Answer::State { state, .. } = exit.answer {
                    self.state = Known::State(*state);
                }
            }
            Call::Reset if success => self.state = Known::Running,
            _ => {}
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
            cycle.comparable =
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
                let fresh = Irq::new(info, remap);
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

    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of one ioctl, taken apart by its only caller"
    )]
    fn set_irqs(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        index: u32,
        (start, count): (u32, u32),
        action: IrqAction,
        data: &IrqData,
        exit: &Exit<'_>,
    ) {
        let now = event.time_ns;
        let named = start..start.saturating_add(count);
        match (action, data) {
            (IrqAction::Trigger, IrqData::None) if count == 0 => {
                self.cut_off(desk, now, index, None, "the IRQ was disabled");
            }
            (IrqAction::Trigger, IrqData::Eventfd(fds)) => {
                for (sub, fd) in named.zip(fds) {
                    if *fd >= 0 {
                        if let Some(irq) = self.irqs.get_mut(&index) {
                            irq.enabled.insert(sub);
                        }
                    } else {
                        let subs = sub..sub.saturating_add(1);
                        self.cut_off(desk, now, index, Some(subs), "the IRQ was disabled");
                    }
                }
                // What was not captured is not known to be there: it is not known to be missing.
                if fds.len() < count as usize
                    && let Some(irq) = self.irqs.get_mut(&index)
                {
                    irq.enabled_certain = false;
                }
            }
            (IrqAction::Unmask, IrqData::None) => {
                self.unmask(desk, event, index, named, exit.begin_ns);
            }
            (IrqAction::Unmask, IrqData::Bool(bits)) => {
                for (sub, bit) in named.zip(bits) {
                    if *bit {
                        self.unmask(
                            desk,
                            event,
                            index,
                            sub..sub.saturating_add(1),
                            exit.begin_ns,
                        );
                    }
                }
            }
            _ => {}
        }
    }

    fn unmask(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        index: u32,
        subs: std::ops::Range<u32>,
        begin_ns: u64,
    ) {
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

    pub(super) fn map(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        region: u32,
        area: Area,
        address: u64,
    ) {
        self.mappings.map(event.task.pid, address, region, area);
        for at in self.places(|cycle| cycle.region == region) {
            if self.cycles[at].map(event.time_ns, &event.task) {
                self.observed(desk, at, Stage::Map);
            }
        }
        self.sweep(desk, event.time_ns);
    }

    pub(super) fn unmap(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        region: u32,
        area: Area,
        address: u64,
    ) {
        self.mappings.unmap(event.task.pid, address, area.size);
        for at in self.places(|cycle| cycle.region == region) {
            if self.cycles[at].unmap(event.time_ns, &event.task, area) {
                self.observed(desk, at, Stage::Unmap);
            }
        }
    }

    pub(super) fn state_write_enter(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        region: u32,
        word: Option<u32>,
    ) {
        if self.is_migration_region(region) {
            self.begin_change(desk, event, word.map(DeviceState::Legacy), true);
        }
    }

    pub(super) fn state_write_exit(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        region: u32,
        word: Option<u32>,
        exit: &Exit<'_>,
    ) {
        if self.is_migration_region(region) {
            self.end_change(desk, event, word.map(DeviceState::Legacy), true, exit);
        }
    }

    fn is_migration_region(&self, region: u32) -> bool {
        let facts = self.regions.get(&region);
        facts.is_some_and(|facts| facts.kind == Some(LEGACY_MIGRATION_REGION))
    }

    fn begin_change(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        to: Option<DeviceState>,
        legacy: bool,
    ) {
        // A thread is in one call at a time: the return of the last one was not seen.
        let tid = event.task.tid;
        if let Some(at) = self
            .changes
            .iter()
            .position(|change| change.task.tid == tid)
        {
            let change = self.changes.remove(at);
            desk.transition(change.finish(&self.name, &[]));
        }
        self.last_change_ns = Some(event.time_ns);
        self.changes.push(Change {
            id: desk.next_change(),
            from: self.state.get(legacy),
            to,
            begin_ns: event.time_ns,
            task: event.task.clone(),
            end: None,
            lossy: false,
            blamed: false,
            waits: Vec::new(),
        });
    }

    fn end_change(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        to: Option<DeviceState>,
        legacy: bool,
        exit: &Exit<'_>,
    ) {
        let (now, tid) = (event.time_ns, event.task.tid);
        let at = self
            .changes
            .iter()
            .position(|change| change.task.tid == tid);
        let mut change = match at {
            Some(at) => self.changes.remove(at),
            // Its entry was lost, or is from before the trace.
            None => Change {
                id: desk.next_change(),
                from: None,
                to,
                begin_ns: exit.begin_ns,
                task: event.task.clone(),
                end: None,
                lossy: true,
                blamed: false,
                waits: Vec::new(),
            },
        };
        change.lossy |= exit.lossy;
        let result = exit.result.map(|_| ());
        change.end = Some((now, result));
        self.state = match (result, exit.answer) {
            (Ok(()), Answer::State { state, .. }) => Known::State(*state),
            (Ok(()), _) => change.to.map_or(Known::Unknown, Known::State),
            // The old state, or one on the way, or the error state: only a query tells.
            (Err(_), _) => Known::Unknown,
        };
        if legacy && change.to.is_none() {
            change.to = to;
        }
        for at in 0..self.cycles.len() {
            let cycle = &mut self.cycles[at];
            let trigger = cycle.stages.get(Stage::Trigger);
            let orphan = cycle.transition.is_none()
                && cycle.trigger_ns >= change.begin_ns
                && trigger.is_some_and(|stamp| stamp.task.tid == tid);
            if orphan {
                cycle.transition = Some(change.reference());
            }
            if cycle
                .transition
                .is_none_or(|reference| reference.id != change.id)
            {
                continue;
            }
            cycle.change_end = Some((now, result));
            if result.is_ok() && cycle.acked() && !cycle.released() {
                cycle.stages.set(Stage::Released, now, &event.task);
                cycle.released_source = Some(ReleasedSource::StateChange);
                self.observed(desk, at, Stage::Released);
            }
        }
        self.closing.push((desk.settled(now), change));
        self.sweep(desk, now);
        self.settle(desk, now);
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
