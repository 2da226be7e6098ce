//! A cycle that has not ended: what was observed so far, and what it still needs.

use super::areas;
use super::mapping::Mappings;
use super::report::RECORDS_LOST;
use super::transition::Wait;
use crate::event::{Errno, Origin, Task};
use crate::model::{Ack, Cycle, Outcome, ReleasedSource, Stage, Stages, TransitionRef, View};
use crate::parse::irq::Encoding;
use crate::parse::region::Area;

/// A cycle that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) irq_index: u32,
    /// How its eventfd came to be known.
    pub(super) origin: Origin,
    pub(super) encoding: Encoding,
    pub(super) region: u32,
    pub(super) trigger_id: u64,
    pub(super) trigger_ns: u64,
    pub(super) stages: Stages,
    pub(super) ack: Ack,
    pub(super) ack_return_ns: Option<u64>,
    pub(super) released_source: Option<ReleasedSource>,
    pub(super) before: Option<View>,
    /// When `before` was learned.
    pub(super) before_ns: Option<u64>,
    pub(super) after: Option<View>,
    /// The state change that the trigger was signalled in.
    pub(super) transition: Option<TransitionRef>,
    /// Whether that state change may wait for it: a driver that gives up names the regions that it
    /// gives back once more, and waits for nobody.
    pub(super) awaited: bool,
    /// That state change returned.
    pub(super) change_end: Option<(u64, Result<(), Errno>)>,
    /// No other state change began between `before` and the requery.
    pub(super) comparable: bool,
    /// Records were lost while it was open.
    pub(super) lossy: bool,
    /// A finding explains whatever else goes wrong in it.
    pub(super) blamed: bool,
    /// The region was signalled again before its ack.
    pub(super) again_ns: Option<u64>,
    /// At the requery something was mapped that is no longer allowed.
    pub(super) unmap_needed: bool,
    /// What was unmapped since the requery.
    unmapped: Vec<Area>,
    /// A mapping was refused: what the region allows has changed again.
    pub(super) map_refused: bool,
    /// The last time that something forbidden was unmapped.
    pub(super) forbidden_unmap_ns: Option<u64>,
    /// It only waits for a late map, until then.
    pub(super) due: Option<u64>,
}

impl Open {
    pub(super) fn new(
        irq_index: u32,
        encoding: Encoding,
        region: u32,
        trigger_id: u64,
        trigger_ns: u64,
        task: &Task,
    ) -> Self {
        let mut stages = Stages::default();
        stages.set(Stage::Trigger, trigger_ns, task);
        Self {
            irq_index,
            origin: Origin::Seen,
            encoding,
            region,
            trigger_id,
            trigger_ns,
            stages,
            ack: Ack::default(),
            ack_return_ns: None,
            released_source: None,
            before: None,
            before_ns: None,
            after: None,
            transition: None,
            awaited: false,
            change_end: None,
            comparable: true,
            lossy: false,
            blamed: false,
            again_ns: None,
            unmap_needed: false,
            unmapped: Vec::new(),
            map_refused: false,
            forbidden_unmap_ns: None,
            due: None,
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

    /// Whether the state change with this number may wait for it.
    pub(super) fn awaited_by(&self, id: u64) -> bool {
        self.awaited && self.inside(id)
    }

    /// The state change that it was signalled in had given up: nobody waits for it.
    pub(super) fn give_back(&mut self) {
        self.awaited = false;
        self.comparable = false;
        if let (Some(ns), Some(ack)) = (self.ack_return_ns, self.stages.get(Stage::Ack)) {
            let task = ack.task.clone();
            self.stages.set(Stage::Released, ns, &task);
            self.released_source = Some(ReleasedSource::AckReturn);
        }
    }

    /// Whether its trigger was signalled in the state change with this number.
    pub(super) fn inside(&self, id: u64) -> bool {
        self.transition.is_some_and(|reference| reference.id == id)
    }

    /// Whether `pid` may be the process that answers.
    pub(super) fn answers(&self, pid: u32) -> bool {
        self.stages
            .get(Stage::Wake)
            .is_none_or(|wake| wake.task.pid == pid)
    }

    /// The read: what came before it answered something else.
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
    pub(super) fn requery(&mut self, ns: u64, task: &Task, view: View, mappings: &Mappings) {
        if self.stages.has(Stage::Unmap) || self.stages.has(Stage::Map) {
            return;
        }
        self.unmap_needed = !mappings.forbidden(self.region, &view.areas).is_empty();
        self.after = Some(view);
        self.stages.set(Stage::Requery, ns, task);
    }

    /// A part of the region was unmapped by a process.
    pub(super) fn unmap(&mut self, ns: u64, task: &Task, area: Area) -> bool {
        let Some(after) = &self.after else {
            return false;
        };
        let forbidden = !areas::subtract(&[area], &after.areas).is_empty();
        if forbidden {
            self.forbidden_unmap_ns = Some(ns);
        }
        // A forbidden mapping has to go in every process that has it.
        if self.acked() || !(forbidden || self.answers(task.pid)) {
            return false;
        }
        self.unmapped.push(area);
        self.stages.set(Stage::Unmap, ns, task);
        true
    }

    /// A part of the region was mapped by a process. The last one before the ack counts, or the
    /// first one after it.
    pub(super) fn map(&mut self, ns: u64, task: &Task) -> bool {
        let late = self.acked() && self.stages.has(Stage::Map);
        if self.after.is_none() || late || !self.answers(task.pid) {
            return false;
        }
        self.stages.set(Stage::Map, ns, task);
        true
    }

    /// Whether the user, who maps this region, has something new to map and has not. Mapping is
    /// only expected of what the change added and of what was unmapped on the way.
    pub(super) fn wants_map(&self, mappings: &Mappings) -> bool {
        let Some(after) = &self.after else {
            return false;
        };
        if self.stages.has(Stage::Map) || self.map_refused || !mappings.ever(self.region) {
            return false;
        }
        let added = match &self.before {
            Some(before) => areas::subtract(&after.areas, &before.areas),
            None => Vec::new(),
        };
        let mut wanted = areas::common(&self.unmapped, &after.areas);
        wanted.extend(added);
        !areas::subtract(&wanted, &mappings.alive(self.region)).is_empty()
    }

    /// Until when the driver could have waited for it.
    pub(super) fn wait(&self) -> Wait {
        let until_ns = self
            .stages
            .ns(Stage::Ack)
            .map(|ack_ns| self.forbidden_unmap_ns.unwrap_or(0).max(ack_ns));
        Wait {
            trigger_ns: self.trigger_ns,
            until_ns,
        }
    }

    /// The stages that were needed and were not observed.
    fn missing(&self, mappings: &Mappings) -> Vec<Stage> {
        let needed = |stage: &Stage| match stage {
            Stage::Unmap => self.unmap_needed,
            Stage::Map => self.wants_map(mappings),
            _ => true,
        };
        Stage::ALL
            .into_iter()
            .filter(|stage| !self.stages.has(*stage) && needed(stage))
            .collect()
    }

    /// Whether both descriptions are known and allow the same.
    pub(super) fn unchanged(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => areas::allow_same(before, after),
            _ => false,
        }
    }

    /// It ended by itself: the driver went on.
    pub(super) fn complete(self, device: &str, mappings: &Mappings) -> Cycle {
        let missing = self.missing(mappings);
        let (outcome, reason) = if self.stages.has(Stage::Released) && missing.is_empty() {
            let acted = self.stages.has(Stage::Unmap) || self.stages.has(Stage::Map);
            match &self.before {
                _ if self.unchanged() => (Outcome::Unchanged, None),
                None if !acted => (
                    Outcome::Incomplete,
                    Some("the region's earlier description was not observed".to_owned()),
                ),
                _ => (Outcome::Remapped, None),
            }
        } else {
            (Outcome::Incomplete, Some(not_observed(&missing)))
        };
        self.end(device, outcome, missing, reason)
    }

    /// It was ended.
    pub(super) fn cut(
        self,
        device: &str,
        mappings: &Mappings,
        outcome: Outcome,
        reason: &str,
    ) -> Cycle {
        let missing = self.missing(mappings);
        let reason = match outcome {
            Outcome::Incomplete => format!("{reason}: {}", not_observed(&missing)),
            _ => reason.to_owned(),
        };
        self.end(device, outcome, missing, Some(reason))
    }

    fn end(
        self,
        device: &str,
        outcome: Outcome,
        missing: Vec<Stage>,
        reason: Option<String>,
    ) -> Cycle {
        let (outcome, reason) = if self.lossy {
            (Outcome::Incomplete, Some(RECORDS_LOST.to_owned()))
        } else {
            (outcome, reason)
        };
        let inferred = self.origin.is_inferred();
        Cycle {
            device: device.to_owned(),
            irq_index: (!inferred).then_some(self.irq_index),
            inferred: inferred.then_some(self.origin),
            encoding: (!inferred).then_some(self.encoding),
            region: self.region,
            trigger_id: self.trigger_id,
            outcome,
            missing,
            reason,
            stages: self.stages,
            released_source: self.released_source,
            ack: self.ack,
            ack_return_ns: self.ack_return_ns,
            before: self.before,
            after: self.after,
            transition: self.transition,
        }
    }
}

fn not_observed(missing: &[Stage]) -> String {
    let names: Vec<&str> = missing.iter().map(|stage| stage.name()).collect();
    match names.split_last() {
        None => "every stage was observed".to_owned(),
        Some((last, [])) => format!("{last} was not observed"),
        Some((last, rest)) => format!("{} and {last} were not observed", rest.join(", ")),
    }
}
