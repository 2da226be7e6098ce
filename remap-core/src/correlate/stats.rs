//! Adds up what a trace contains.

use crate::event::{Errno, Task};
use crate::model::{
    Closed, Cycle, DeviceStats, Finding, IrqName, IrqStats, MappingStats, MigrationStats, Opened,
    RegionStats, Stage, StateInterval, StateStats, Stats, Transition, User, Zap, ZapStats,
};

impl RegionStats {
    fn record(&mut self, cycle: &Cycle) {
        *self.outcomes.entry(cycle.outcome).or_default() += 1;
        // Between the stages of a cycle that is not whole there may be others.
        if !cycle.complete() {
            return;
        }
        for stage in Stage::ALL {
            if let Some(ns) = cycle.stages.duration(stage) {
                self.stages[stage as usize].record(ns);
            }
        }
        if let Some(ns) = cycle.stages.total() {
            self.total.record(ns);
        }
    }
}

impl ZapStats {
    pub(super) fn record(&mut self, zap: &Zap) {
        self.zaps += 1;
        self.populated += zap.populated();
        self.refused += zap.refused();
        self.fault_ns = self.fault_ns.saturating_add(zap.fault_ns);
        for region in &zap.regions {
            self.unsized_faults += region.unsized_faults;
            for (bytes, count) in &region.pages {
                self.bytes = self.bytes.saturating_add(bytes.saturating_mul(*count));
            }
        }
        if let Some(ns) = zap.duration() {
            self.duration.record(ns);
        }
    }
}

impl MigrationStats {
    pub(super) fn transition(&mut self, transition: &Transition) {
        let key = (transition.from, transition.to);
        let change = self.changes.entry(key).or_default();
        match transition.result {
            Some(Ok(())) => {
                change.succeeded += 1;
                if let Some(ns) = transition.duration() {
                    change.duration.record(ns);
                }
            }
            Some(Err(Errno(errno))) => *change.failed.entry(errno).or_default() += 1,
            None => change.unfinished += 1,
        }
        self.inside.add(&transition.inside);
        if let Some(spent) = &transition.spent {
            self.spent.add(spent);
        }
    }

    pub(super) fn stay(&mut self, stay: &StateInterval) {
        let state = self.states.entry(stay.state).or_insert(StateStats {
            complete: true,
            ..StateStats::default()
        });
        state.stays += 1;
        state.ns = state.ns.saturating_add(stay.duration());
        state.complete &= stay.entered && stay.left;
        state.activity.add(&stay.activity);
        state.precopy = stay.precopy.or(state.precopy);
    }
}

impl Stats {
    pub(super) fn device(&mut self, name: &str) -> &mut DeviceStats {
        self.devices.entry(name.to_owned()).or_default()
    }

    pub(super) fn cycle(&mut self, cycle: &Cycle) {
        let regions = &mut self.device(&cycle.device).regions;
        regions.entry(cycle.region).or_default().record(cycle);
    }

    pub(super) fn transition(&mut self, transition: &Transition) {
        let device = self.device(&transition.device);
        device.transitions += 1;
        device.migration.transition(transition);
    }

    pub(super) fn stay(&mut self, stay: &StateInterval) {
        self.device(&stay.device).migration.stay(stay);
    }

    pub(super) fn zap(&mut self, zap: &Zap) {
        let zaps = &mut self.device(&zap.device).zaps;
        zaps.entry(zap.cause.name()).or_default().record(zap);
    }

    pub(super) fn opened(&mut self, opened: &Opened) {
        self.device(&opened.device).opens += 1;
    }

    pub(super) fn closed(&mut self, closed: &Closed) {
        let device = self.device(&closed.device);
        device.closes += 1;
        device.deaths += u64::from(closed.dying == Some(true));
    }

    /// A process uses a device.
    pub(super) fn user(&mut self, device: &str, task: &Task, vm: Option<&str>) {
        let users = &mut self.device(device).users;
        users.entry(task.pid).or_insert_with(|| User {
            comm: task.comm.clone(),
            vm: vm.map(str::to_owned),
        });
    }

    /// A process runs a virtual machine, or another program.
    pub(super) fn owner(&mut self, pid: u32, vm: Option<&str>) {
        for device in self.devices.values_mut() {
            if let Some(user) = device.users.get_mut(&pid) {
                user.vm = vm.map(str::to_owned);
            }
        }
    }

    pub(super) fn mapping(&mut self, device: &str, region: u32) -> &mut MappingStats {
        let regions = &mut self.device(device).regions;
        &mut regions.entry(region).or_default().mapping
    }

    pub(super) fn irq(&mut self, device: &str, index: u32, name: IrqName) -> &mut IrqStats {
        let irqs = &mut self.device(device).irqs;
        let irq = irqs.entry(index).or_insert_with(|| IrqStats::new(name));
        irq.name = name;
        irq
    }

    pub(super) fn finding(&mut self, finding: &Finding) {
        let device = self.device(&finding.device);
        device
            .examples
            .entry(finding.rule)
            .or_insert_with(|| finding.text.clone());
        let findings = match finding.region {
            Some(region) => &mut device.regions.entry(region).or_default().findings,
            None => &mut device.findings,
        };
        *findings.entry(finding.rule).or_default() += 1;
    }
}
