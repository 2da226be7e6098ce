//! The open cycles of a device, by number, and the state changes that may wait for them.

use std::collections::BTreeMap;

use super::open_cycle::{Cut, OpenCycle};
use crate::correlate::change::Wait;
use crate::correlate::mapping::LiveMappings;
use crate::correlate::report::Reporter;
use crate::correlate::rules::{AT_CYCLE_END, AtCycleEnd, Verdict, judge};
use crate::model::Stage;

/// The number of a cycle within its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CycleId(u64);

/// What ended cycles contribute to the state change that they were a part of.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    /// The times in which it can have waited for them.
    pub(super) waits: Vec<Wait>,
    /// A finding explains one of them, or records were lost.
    pub(super) is_settled: bool,
}

/// The open cycles of one device.
#[derive(Debug, Default)]
pub(super) struct Cycles {
    open: BTreeMap<CycleId, OpenCycle>,
    opened: u64,
    /// By the number of each state change that is not decided.
    changes: BTreeMap<u64, Answered>,
    /// How many times of waiting these have.
    waits: usize,
}

impl Cycles {
    /// How much is stored ([`crate::correlate::room`]): each event may look at all open cycles.
    pub(super) fn room(&self) -> usize {
        16 * (self.open.len() + self.changes.len()) + self.waits
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// A cycle begins.
    pub(super) fn open(&mut self, cycle: OpenCycle) -> CycleId {
        self.opened += 1;
        let id = CycleId(self.opened);
        self.open.insert(id, cycle);
        id
    }

    pub(super) fn get(&self, id: CycleId) -> Option<&OpenCycle> {
        self.open.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: CycleId) -> Option<&mut OpenCycle> {
        self.open.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &OpenCycle> {
        self.open.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenCycle> {
        self.open.values_mut()
    }

    /// The open cycles that `wanted` selects, oldest first.
    pub(super) fn ids(&self, wanted: impl Fn(&OpenCycle) -> bool) -> Vec<CycleId> {
        let cycles = self.open.iter();
        let wanted = cycles.filter(|(_, cycle)| wanted(cycle));
        wanted.map(|(id, _)| *id).collect()
    }

    /// Whether `wanted` selects an open cycle.
    pub(super) fn any(&self, wanted: impl Fn(&OpenCycle) -> bool) -> bool {
        self.open.values().any(wanted)
    }

    /// A state change is in flight, or returned, and is not decided.
    pub(super) fn change_began(&mut self, change: u64) {
        self.changes.entry(change).or_default();
    }

    /// The times in which an undecided state change can have waited so far.
    pub(super) fn answered(&self, change: u64) -> Answered {
        self.changes.get(&change).cloned().unwrap_or_default()
    }

    /// A state change is decided.
    pub(super) fn change_over(&mut self, change: u64) {
        let over = self.changes.remove(&change);
        self.waits -= over.map_or(0, |over| over.waits.len());
    }

    /// Reports a finding about open cycles, unless one of them is explained already or records
    /// were lost while it was open.
    pub(super) fn report(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        about: &[CycleId],
        verdict: Verdict,
    ) {
        let cycles = || about.iter().filter_map(|id| self.open.get(id));
        if !cycles().any(OpenCycle::is_settled) {
            let trigger_id = cycles().map(|cycle| cycle.trigger.id).min();
            out.finding_of(now, verdict, trigger_id);
        }
        self.mark_explained(about);
    }

    /// Marks these cycles as explained: they lead to no further finding.
    pub(super) fn mark_explained(&mut self, about: &[CycleId]) {
        for id in about {
            if let Some(cycle) = self.open.get_mut(id) {
                cycle.explained = true;
            }
        }
    }

    /// `stage` of a cycle was observed, if it is stamped.
    pub(super) fn observed(&self, out: &mut Reporter<'_>, id: CycleId, stage: Stage) {
        if let Some(cycle) = self.open.get(&id)
            && let Some(stamp) = cycle.stages.get(stage)
        {
            let trigger = &cycle.trigger;
            out.stage((trigger.region, trigger.id), stage, stamp);
        }
    }

    /// A cycle completes: the driver has released it, and it waits for nothing more.
    pub(super) fn complete(&mut self, out: &mut Reporter<'_>, now: u64, live: &LiveMappings) {
        for id in self.ids(OpenCycle::released) {
            let Some(cycle) = self.open.get_mut(&id) else {
                continue;
            };
            if !cycle.is_settled() && cycle.wants_map(live) {
                let due_ns = *cycle.due_ns.get_or_insert(out.settled(now));
                if now < due_ns {
                    continue;
                }
            }
            let facts = AtCycleEnd {
                region: cycle.trigger.region,
                unchanged: cycle.unchanged(),
                comparable: cycle.comparable && cycle.again_ns.is_none(),
            };
            if let Some(verdict) = judge(AT_CYCLE_END, &facts) {
                self.report(out, now, &[id], verdict);
            }
            if let Some(cycle) = self.remove(id) {
                let device = out.name();
                out.cycle(now, cycle.complete(device, live));
            }
        }
    }

    /// Ends the cycles that `wanted` selects.
    pub(super) fn cut(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        live: &LiveMappings,
        cut: Cut,
        wanted: impl Fn(&OpenCycle) -> bool,
    ) {
        for id in self.ids(wanted) {
            if let Some(cycle) = self.remove(id) {
                let device = out.name();
                out.cycle(now, cycle.cut(device, live, cut));
            }
        }
    }

    /// Removes an open cycle; keeps the time in which its state change can have waited for it.
    fn remove(&mut self, id: CycleId) -> Option<OpenCycle> {
        let cycle = self.open.remove(&id)?;
        let reference = cycle.transition;
        if let Some(change) = reference.and_then(|change| self.changes.get_mut(&change.id)) {
            if cycle.awaited {
                change.waits.push(cycle.wait());
                self.waits += 1;
            }
            change.is_settled |= cycle.is_settled();
        }
        Some(cycle)
    }
}
