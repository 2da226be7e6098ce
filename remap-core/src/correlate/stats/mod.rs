//! What the trace adds up to: cycles, times and findings per device and region.

use std::collections::BTreeMap;

mod irq;
mod memory;
mod migration;
mod times;

pub use irq::{IrqStats, VectorStats};
pub use memory::{MappingStats, ZapStats};
pub use migration::{ChangeStats, LoggingStats, MigrationStats, StateStats};
pub use times::Quantiles;

use super::activity::DataStats;
use super::cycle::{Cycle, Outcome, Stage};
use super::finding::{Finding, Rule};
use super::irq::IrqName;
use super::stay::Stay;
use super::transition::Transition;
use super::usage::{Closed, Opened};
use super::zap::Zap;
use crate::account::Miss;
use crate::event::Task;
use crate::vmm::log::LogAccount;
use times::Times;

/// What happened to one region.
#[derive(Clone, Debug, Default)]
pub struct RegionStats {
    /// Cycles by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Findings by rule.
    pub findings: BTreeMap<Rule, u64>,
    /// Its mappings.
    pub mapping: MappingStats,
    stages: [Times; 7],
    total: Times,
}

impl RegionStats {
    /// All cycles.
    pub fn cycles(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// All findings.
    pub fn findings(&self) -> u64 {
        self.findings.values().sum()
    }

    /// How long `stage` took; `None` if it was never observed.
    pub fn stage(&self, stage: Stage) -> Option<Quantiles> {
        self.stages[stage as usize].quantiles()
    }

    /// From trigger to release; `None` if that was never observed.
    pub fn total(&self) -> Option<Quantiles> {
        self.total.quantiles()
    }

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

/// What happened to one device.
#[derive(Clone, Debug, Default)]
pub struct DeviceStats {
    /// By region index.
    pub regions: BTreeMap<u32, RegionStats>,
    /// Findings that are about no single region, by rule.
    pub findings: BTreeMap<Rule, u64>,
    /// The kernel driver that it is bound to, if it could be read.
    pub driver: Option<String>,
    /// State changes.
    pub transitions: u64,
    /// Interrupts by IRQ index; [`UNKNOWN_INDEX`](crate::event::UNKNOWN_INDEX) for eventfds that
    /// are inferred to be the device's.
    pub irqs: BTreeMap<u32, IrqStats>,
    /// Migration.
    pub migration: MigrationStats,
    /// Zaps by the name of their cause.
    pub zaps: BTreeMap<&'static str, ZapStats>,
    /// Files of it that were made.
    pub opens: u64,
    /// How often its last file was closed.
    pub closes: u64,
    /// Of these, by a process that was about to end.
    pub deaths: u64,
    /// The processes that used it, by pid.
    pub users: BTreeMap<u32, User>,
    /// An example for each rule: what was seen the first time.
    pub examples: BTreeMap<Rule, String>,
}

/// A process that used a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its name: the command name of the thread that was seen first.
    pub comm: String,
    /// The virtual machine's name, if it is known.
    pub vm: Option<String>,
}

/// What happened in the whole trace.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// By the device's name.
    pub devices: BTreeMap<String, DeviceStats>,
    /// Migration data of files that nobody knows the device of.
    pub unknown_data: DataStats,
}

impl Stats {
    /// All cycles.
    pub fn cycles(&self) -> u64 {
        self.regions().map(RegionStats::cycles).sum()
    }

    /// All state changes.
    pub fn transitions(&self) -> u64 {
        self.devices.values().map(|device| device.transitions).sum()
    }

    /// Findings by rule.
    pub fn findings(&self) -> BTreeMap<Rule, u64> {
        let mut sums = BTreeMap::new();
        let of_regions = self.regions().map(|region| &region.findings);
        let of_devices = self.devices.values().map(|device| &device.findings);
        for (rule, count) in of_regions.chain(of_devices).flatten() {
            *sums.entry(*rule).or_default() += count;
        }
        sums
    }

    fn regions(&self) -> impl Iterator<Item = &RegionStats> {
        self.devices
            .values()
            .flat_map(|device| device.regions.values())
    }

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

    pub(super) fn stay(&mut self, stay: &Stay) {
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

/// What the user's filters kept back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Records of devices, processes and virtual machines that nobody asked for: nothing was made
    /// of them.
    pub records: u64,
    /// Outputs of classes that nobody asked for: they were not shown, and are counted.
    pub by_class: u64,
    /// Outputs that took less time than was asked for: they were not shown, and are counted.
    pub by_latency: u64,
}

/// The end of a trace: what it adds up to, and whether it is whole.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Records that the probes saw; `None` if that could not be read.
    pub seen: Option<u64>,
    /// Records that reached the correlation.
    pub delivered: u64,
    /// Records that did not, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Whose runs never happened, of those (`recursion`, `probe_missed`).
    pub missed: Vec<Miss>,
    /// What was made of them.
    pub stats: Stats,
    /// What the user's filters kept back.
    pub withheld: Withheld,
    /// The VMMs' logs that were read.
    pub logs: Vec<LogAccount>,
}

impl Summary {
    /// All that was lost.
    pub fn lost_total(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Whether every record that was seen is accounted for; `None` if it is not known how many
    /// were seen.
    pub fn exact(&self) -> Option<bool> {
        self.seen
            .map(|seen| self.delivered.checked_add(self.lost_total()) == Some(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_observed_is_not_zero() {
        assert_eq!(RegionStats::default().stage(Stage::Wake), None);
        assert_eq!(RegionStats::default().total(), None);
    }

    #[test]
    fn the_identity() {
        let mut summary = Summary {
            seen: Some(10),
            delivered: 7,
            ..Summary::default()
        };
        assert_eq!(summary.exact(), Some(false));
        summary.lost.insert("ring full".into(), 3);
        assert_eq!(summary.exact(), Some(true));
        summary.seen = None;
        assert_eq!(summary.exact(), None);
    }
}
