//! The output queue, as a device's trackers use it: with the device's name added.

use super::identity::Identity;
use super::moment::Moment;
use super::options::Options;
use super::queue::{Ids, OutputQueue};
use super::rules::Verdict;
use crate::event::{Errno, Origin, Place, Task};
use crate::model::{
    Cycle, DeviceStats, Finding, Interrupt, IrqChange, IrqName, IrqStats, Mapped, MappedHow,
    MappingStats, Outcome, Output, Reason, Stage, StageLine, Stamp, VectorStats,
};

/// The output queue of one device's trackers.
pub(super) struct Reporter<'a> {
    pub(super) device: &'a Identity,
    queue: &'a mut OutputQueue,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(device: &'a Identity, queue: &'a mut OutputQueue) -> Self {
        Self { device, queue }
    }

    /// The device's name.
    pub(super) fn name(&self) -> String {
        self.device.name.clone()
    }

    pub(super) fn options(&self) -> &Options {
        self.queue.options()
    }

    /// The device's sums.
    pub(super) fn stats(&mut self) -> &mut DeviceStats {
        self.queue.stats_mut().device(&self.device.name)
    }

    /// The sums of one of its IRQ indexes.
    pub(super) fn irq_stats(&mut self, index: u32, name: IrqName) -> &mut IrqStats {
        self.queue.stats_mut().irq(&self.device.name, index, name)
    }

    /// The sums of one of its vectors.
    pub(super) fn vector_stats(&mut self, at: (u32, u32), name: IrqName) -> &mut VectorStats {
        self.queue.stats_mut().vector(&self.device.name, at, name)
    }

    /// A process uses it.
    pub(super) fn user(&mut self, task: &Task, vm: Option<&str>) {
        let stats = self.queue.stats_mut();
        stats.user(&self.device.name, task, vm);
    }

    /// The sums of the mappings of one of its regions.
    pub(super) fn mapping_stats(&mut self, region: u32) -> &mut MappingStats {
        let stats = self.queue.stats_mut();
        &mut stats.region(&self.device.name, region).mapping
    }

    /// The source of numbers that are unique in the trace.
    pub(super) fn ids(&mut self) -> &mut Ids {
        self.queue.ids()
    }

    /// When something that happened at `now` has settled.
    pub(super) fn settled(&self, now: u64) -> u64 {
        self.queue.settled(now)
    }

    /// Reports at once.
    pub(super) fn emit(&mut self, output: Output) {
        self.queue.emit(output);
    }

    /// A finding that concerns no cycle.
    pub(super) fn finding(&mut self, now: u64, verdict: Verdict) {
        self.finding_of(now, verdict, None);
    }

    /// A finding about the cycle of a trigger.
    pub(super) fn finding_of(&mut self, now: u64, verdict: Verdict, trigger_id: Option<u64>) {
        let finding = Finding {
            time_ns: now,
            device: self.name(),
            region: verdict.region,
            trigger_id,
            evidence: verdict.evidence,
        };
        self.queue.hold(now, Output::Finding(finding));
    }

    /// A cycle ended. One with a stage that is missing is held: that stage may still come.
    pub(super) fn cycle(&mut self, now: u64, cycle: Cycle) {
        let lost = cycle.reason == Some(Reason::RecordsLost);
        let held = cycle.outcome == Outcome::Incomplete && !lost;
        let output = Output::Cycle(Box::new(cycle));
        match held {
            true => self.queue.hold(now, output),
            false => self.queue.emit(output),
        }
    }

    /// A stage of a region's trigger was observed.
    pub(super) fn stage(&mut self, (region, trigger_id): (u32, u64), stage: Stage, stamp: &Stamp) {
        if self.options().stages {
            let line = StageLine {
                device: self.name(),
                region,
                trigger_id,
                stage,
                time_ns: stamp.ns,
                task: stamp.task.clone(),
            };
            self.emit(Output::Stage(line));
        }
    }

    pub(super) fn interrupt(&mut self, interrupt: Interrupt) {
        self.emit(Output::Interrupt(interrupt));
    }

    pub(super) fn irq_change(&mut self, change: IrqChange) {
        self.emit(Output::IrqChange(change));
    }

    /// A part of a region was mapped or unmapped.
    pub(super) fn mapped(
        &mut self,
        at: Moment<'_>,
        place: Place,
        (how, origin): (MappedHow, Origin),
        result: Result<(), Errno>,
    ) {
        let mapped = Mapped {
            device: self.name(),
            time_ns: at.ns,
            how,
            region: place.region,
            offset: place.area.offset,
            size: place.area.size,
            result,
            origin,
            task: at.task.clone(),
        };
        self.emit(Output::Mapped(mapped));
    }
}
