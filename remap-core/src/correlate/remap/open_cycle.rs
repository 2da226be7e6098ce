//! A cycle that has not ended: the observed stages, and those that it still needs.

use crate::correlate::areas;
use crate::correlate::change::{ReturnedChange, Wait};
use crate::correlate::mapping::LiveMappings;
use crate::correlate::region::Described;
use crate::correlate::rules::is_timeout;
use crate::event::{Errno, Origin, Task};
use crate::model::{
    Ack, Cycle, Outcome, Reason, ReleasedSource, Stage, Stages, TransitionRef, View,
};
use crate::parse::irq::Encoding;
use crate::parse::region::Area;

/// A call that timed out signals the regions that it gives back right before its return: at most
/// this long before it, ns; and at most its duration divided by this.
const GIVE_BACK: (u64, u64) = (10_000_000, 20);

/// Whether a state change that timed out cannot have waited for a trigger: it came right before
/// the return, so the driver had given up.
fn gave_up_before(change: &ReturnedChange, trigger_ns: u64) -> bool {
    let (most, share) = GIVE_BACK;
    let left = change.end_ns.saturating_sub(trigger_ns);
    let duration = change.end_ns.saturating_sub(change.reference.begin_ns);
    let timed_out = change.result.err().is_some_and(is_timeout);
    timed_out && left < most && left < duration / share
}

/// A signal that names a region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trigger {
    pub(super) irq_index: u32,
    pub(super) encoding: Encoding,
    pub(super) region: u32,
    /// Number of the signal within the trace.
    pub(super) id: u64,
    /// CLOCK_MONOTONIC, ns.
    pub(super) ns: u64,
}

/// A cycle that has not ended.
#[derive(Clone, Debug)]
pub(super) struct OpenCycle {
    pub(super) trigger: Trigger,
    /// How its eventfd came to be known.
    pub(super) origin: Origin,
    pub(super) stages: Stages,
    pub(super) ack: Ack,
    pub(super) ack_return_ns: Option<u64>,
    pub(super) released_source: Option<ReleasedSource>,
    pub(super) before: Option<Described>,
    pub(super) after: Option<View>,
    /// The state change that the trigger was signalled in.
    pub(super) transition: Option<TransitionRef>,
    /// Whether that state change may wait for it: a driver that has timed out signals the regions
    /// that it gives back, and does not wait for an answer.
    pub(super) awaited: bool,
    /// When that state change returned, and what.
    pub(super) change_end: Option<(u64, Result<(), Errno>)>,
    /// No other state change began between `before` and the requery.
    pub(super) comparable: bool,
    /// Records were lost while it was open.
    pub(super) lossy: bool,
    /// A finding explains it: it leads to no further finding.
    pub(super) explained: bool,
    /// The region was signalled again before its ack.
    pub(super) again_ns: Option<u64>,
    /// At the requery, a mapping existed that is no longer allowed.
    unmap_needed: bool,
    /// What was unmapped since the requery.
    unmapped: Vec<Area>,
    /// A mapping was refused: the region has changed again.
    map_refused: bool,
    /// When a forbidden mapping was last removed.
    forbidden_unmap_ns: Option<u64>,
    /// It only waits for a late map, until then.
    pub(super) due_ns: Option<u64>,
}

impl OpenCycle {
    pub(super) fn new(trigger: Trigger, task: &Task, before: Option<&Described>) -> Self {
        let mut stages = Stages::default();
        stages.set(Stage::Trigger, trigger.ns, task);
        Self {
            trigger,
            origin: Origin::Seen,
            stages,
            ack: Ack::default(),
            ack_return_ns: None,
            released_source: None,
            before: before.cloned(),
            after: None,
            transition: None,
            awaited: false,
            change_end: None,
            comparable: true,
            lossy: false,
            explained: false,
            again_ns: None,
            unmap_needed: false,
            unmapped: Vec::new(),
            map_refused: false,
            forbidden_unmap_ns: None,
            due_ns: None,
        }
    }

    pub(super) fn acked(&self) -> bool {
        self.stages.has(Stage::Ack)
    }

    pub(super) fn woke(&self) -> bool {
        self.stages.has(Stage::Wake)
    }

    pub(super) fn released(&self) -> bool {
        self.stages.has(Stage::Released)
    }

    /// Whether it leads to no further finding: one explains it, or records were lost.
    pub(super) fn is_settled(&self) -> bool {
        self.lossy || self.explained
    }

    /// The time of `before`.
    pub(super) fn before_ns(&self) -> Option<u64> {
        self.before.as_ref().map(|before| before.ns)
    }

    /// Whether its trigger was signalled in the state change with this number.
    pub(super) fn inside(&self, id: u64) -> bool {
        self.transition.is_some_and(|reference| reference.id == id)
    }

    /// Whether the state change with this number may wait for it.
    pub(super) fn awaited_by(&self, id: u64) -> bool {
        self.awaited && self.inside(id)
    }

    /// A state change returned whose entry was lost: its own thread signalled this cycle's trigger
    /// since it began.
    pub(super) fn adopt(&mut self, change: &ReturnedChange) {
        let trigger = self.stages.get(Stage::Trigger);
        let orphan = self.transition.is_none()
            && self.trigger.ns >= change.reference.begin_ns
            && trigger.is_some_and(|stamp| stamp.task.tid == change.tid);
        if orphan {
            self.transition = Some(change.reference);
            self.awaited = true;
        }
    }

    /// Whether `pid` may be the process that answers.
    pub(super) fn answers(&self, pid: u32) -> bool {
        self.stages
            .get(Stage::Wake)
            .is_none_or(|wake| wake.task.pid == pid)
    }

    /// Whether a description that `pid` asked for at `begin_ns` is an answer to it.
    pub(super) fn awaits_description(&self, region: u32, pid: u32, begin_ns: u64) -> bool {
        let since_ns = self.stages.ns(Stage::Wake).unwrap_or(self.trigger.ns);
        let open = self.trigger.region == region && !self.acked();
        open && self.answers(pid) && since_ns <= begin_ns
    }

    /// Whether a state change that timed out cannot have waited for it.
    pub(super) fn is_given_back_by(&self, change: &ReturnedChange) -> bool {
        gave_up_before(change, self.trigger.ns)
    }

    /// The driver had timed out: no state change waits for it.
    pub(super) fn give_back(&mut self) {
        self.awaited = false;
        self.comparable = false;
        if let (Some(ns), Some(ack)) = (self.ack_return_ns, self.stages.get(Stage::Ack)) {
            let task = ack.task.clone();
            self.release(ns, &task, ReleasedSource::AckReturn);
        }
    }

    pub(super) fn release(&mut self, ns: u64, task: &Task, source: ReleasedSource) {
        self.stages.set(Stage::Released, ns, task);
        self.released_source = Some(source);
    }

    /// The read. A requery before it answered something else.
    pub(super) fn wake(&mut self, ns: u64, task: &Task) {
        for stage in [Stage::Requery, Stage::Unmap, Stage::Map] {
            self.stages.clear(stage);
        }
        self.after = None;
        self.unmap_needed = false;
        self.map_refused = false;
        self.unmapped.clear();
        self.stages.set(Stage::Wake, ns, task);
    }

    /// The region's new description. A later one replaces it until something was done about it.
    /// `last_change_ns`: when a state change of the device last began.
    pub(super) fn requery(
        &mut self,
        (ns, task): (u64, &Task),
        view: View,
        live: &LiveMappings,
        last_change_ns: Option<u64>,
    ) {
        // The descriptions are comparable if no state change but the trigger's own began between
        // them.
        let own_ns = self.transition.map(|reference| reference.begin_ns);
        let before_ns = self.before_ns();
        let since_ns = own_ns.or(before_ns);
        self.comparable &=
            before_ns <= since_ns && last_change_ns.is_none_or(|ns| Some(ns) <= since_ns);
        if self.stages.has(Stage::Unmap) || self.stages.has(Stage::Map) {
            return;
        }
        let forbidden = live.forbidden(self.trigger.region, &view.areas);
        self.unmap_needed = !forbidden.is_empty();
        self.after = Some(view);
        self.stages.set(Stage::Requery, ns, task);
    }

    /// A process unmapped a part of the region. Returns whether this is the unmap stage.
    pub(super) fn unmap(&mut self, ns: u64, task: &Task, area: Area) -> bool {
        let Some(after) = &self.after else {
            return false;
        };
        let forbidden = !areas::subtract(&[area], &after.areas).is_empty();
        if forbidden {
            self.forbidden_unmap_ns = Some(ns);
        }
        // Every process with a forbidden mapping must remove it.
        if self.acked() || !(forbidden || self.answers(task.pid)) {
            return false;
        }
        self.unmapped.push(area);
        self.stages.set(Stage::Unmap, ns, task);
        true
    }

    /// A process mapped a part of the region. The last map before the ack counts, or the first one
    /// after it. Returns whether this is the map stage.
    pub(super) fn map(&mut self, ns: u64, task: &Task) -> bool {
        let late = self.acked() && self.stages.has(Stage::Map);
        if self.after.is_none() || late || !self.answers(task.pid) {
            return false;
        }
        self.stages.set(Stage::Map, ns, task);
        true
    }

    /// A mapping of the region was refused to a process.
    pub(super) fn refuse_map(&mut self, pid: u32) {
        if self.stages.has(Stage::Requery) && self.answers(pid) {
            self.map_refused = true;
        }
    }

    /// The areas that are mapped, but that the new description does not allow.
    pub(super) fn forbidden(&self, live: &LiveMappings) -> Vec<Area> {
        match &self.after {
            Some(after) => live.forbidden(self.trigger.region, &after.areas),
            None => Vec::new(),
        }
    }

    /// Whether a map is still missing. A map is only expected if the user maps this region, for areas
    /// that the change added or that were unmapped during the cycle.
    pub(super) fn wants_map(&self, live: &LiveMappings) -> bool {
        let Some(after) = &self.after else {
            return false;
        };
        let region = self.trigger.region;
        if self.stages.has(Stage::Map) || self.map_refused || !live.ever(region) {
            return false;
        }
        let added = match &self.before {
            Some(before) => areas::subtract(&after.areas, &before.view.areas),
            None => Vec::new(),
        };
        let mut wanted = areas::common(&self.unmapped, &after.areas);
        wanted.extend(added);
        !areas::subtract(&wanted, &live.alive(region)).is_empty()
    }

    /// The time until which the driver can have waited for it.
    pub(super) fn wait(&self) -> Wait {
        let until_ns = self
            .stages
            .ns(Stage::Ack)
            .map(|ack_ns| self.forbidden_unmap_ns.unwrap_or(0).max(ack_ns));
        Wait {
            trigger_ns: self.trigger.ns,
            until_ns,
        }
    }

    /// Whether both descriptions are known and allow the same.
    pub(super) fn unchanged(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => areas::allow_same(&before.view, after),
            _ => false,
        }
    }

    /// The stages that were needed and were not observed.
    fn missing(&self, live: &LiveMappings) -> Vec<Stage> {
        let needed = |stage: &Stage| match stage {
            Stage::Unmap => self.unmap_needed,
            Stage::Map => self.wants_map(live),
            _ => true,
        };
        Stage::ALL
            .iter()
            .copied()
            .filter(|stage| !self.stages.has(*stage) && needed(stage))
            .collect()
    }

    /// The driver has continued: the cycle ends by itself.
    pub(super) fn complete(self, device: String, live: &LiveMappings) -> Cycle {
        let missing = self.missing(live);
        let acted = self.stages.has(Stage::Unmap) || self.stages.has(Stage::Map);
        let (outcome, reason) = if !missing.is_empty() {
            (Outcome::Incomplete, Some(Reason::StagesMissing))
        } else if self.unchanged() {
            (Outcome::Unchanged, None)
        } else if self.before.is_none() && !acted {
            (Outcome::Incomplete, Some(Reason::NotDescribedBefore))
        } else {
            (Outcome::Remapped, None)
        };
        self.end(device, outcome, missing, reason)
    }

    /// Something else ended it.
    pub(super) fn cut(self, device: String, live: &LiveMappings, cut: Cut) -> Cycle {
        let missing = self.missing(live);
        self.end(device, cut.outcome, missing, Some(cut.reason))
    }

    fn end(
        self,
        device: String,
        outcome: Outcome,
        missing: Vec<Stage>,
        reason: Option<Reason>,
    ) -> Cycle {
        let (outcome, reason) = if self.lossy {
            (Outcome::Incomplete, Some(Reason::RecordsLost))
        } else {
            (outcome, reason)
        };
        let inferred = self.origin.is_inferred();
        Cycle {
            device,
            irq_index: (!inferred).then_some(self.trigger.irq_index),
            inferred: inferred.then_some(self.origin),
            encoding: (!inferred).then_some(self.trigger.encoding),
            region: self.trigger.region,
            trigger_id: self.trigger.id,
            outcome,
            missing,
            reason,
            stages: self.stages,
            released_source: self.released_source,
            ack: self.ack,
            ack_return_ns: self.ack_return_ns,
            before: self.before.map(|before| before.view),
            after: self.after,
            transition: self.transition,
        }
    }
}

/// Why cycles are ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::correlate) struct Cut {
    pub(in crate::correlate) outcome: Outcome,
    pub(in crate::correlate) reason: Reason,
}

impl Cut {
    /// The user cannot answer it any more.
    pub(in crate::correlate) fn aborted(reason: Reason) -> Self {
        Self {
            outcome: Outcome::Aborted,
            reason,
        }
    }
}
