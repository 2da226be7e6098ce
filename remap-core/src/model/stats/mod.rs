//! What the trace adds up to: cycles, times and findings per device and region.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod irq;
mod mapping;
mod migration;
mod room;
mod times;

pub use irq::{IrqStats, VectorStats};
pub(crate) use mapping::Pages;
pub use mapping::{MappingStats, ZapStats};
pub use migration::{ChangeStats, FromTo, LoggingStats, MigrationStats, StateStats};
pub use room::Evicted;
pub use times::Quantiles;

use super::{CauseKind, DataStats, Evidence, KnownIndex, Outcome, Rule, Stage};
use crate::json;
pub(crate) use times::Times;

json::object! {
    /// Cycles by outcome, and their sum.
    Outcomes: BTreeMap<Outcome, u64> {
        /// All cycles.
        cycles: u64,
        /// By outcome.
        outcomes: BTreeMap<Outcome, u64>,
    } |outcomes| Self {
        cycles: outcomes.values().sum(),
        outcomes: outcomes.clone(),
    }, |line| line.outcomes
}

/// What happened to one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct RegionStats {
    /// Cycles by outcome.
    #[serde(flatten, with = "Outcomes")]
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Findings by rule.
    pub findings: BTreeMap<Rule, u64>,
    /// Its mappings.
    pub mapping: MappingStats,
    pub(crate) stages: BTreeMap<Stage, Times>,
    pub(crate) total: Times,
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
        self.stages.get(&stage)?.quantiles()
    }

    /// From trigger to release; `None` if that was never observed.
    pub fn total(&self) -> Option<Quantiles> {
        self.total.quantiles()
    }
}

json::list! {
    ByRegion of RegionEntry {
        region: u32,
        #[serde(flatten)]
        stats: RegionStats,
    }
}

json::list! {
    ByIrq of IrqEntry {
        #[serde(with = "KnownIndex")]
        irq_index: u32,
        #[serde(flatten)]
        stats: IrqStats,
    }
}

/// What happened to one device.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct DeviceStats {
    /// By region index.
    #[serde(with = "ByRegion")]
    pub regions: BTreeMap<u32, RegionStats>,
    /// Findings that are about no single region, by rule.
    pub findings: BTreeMap<Rule, u64>,
    /// The kernel driver that it is bound to, if it could be read.
    pub driver: Option<String>,
    /// State changes.
    pub transitions: u64,
    /// Interrupts by IRQ index; [`UNKNOWN_INDEX`](crate::event::UNKNOWN_INDEX) for eventfds that
    /// are inferred to be the device's.
    #[serde(with = "ByIrq")]
    pub irqs: BTreeMap<u32, IrqStats>,
    /// Migration.
    pub migration: MigrationStats,
    /// Zaps by cause.
    pub zaps: BTreeMap<CauseKind, ZapStats>,
    /// Files of it that were made.
    pub opens: u64,
    /// How often its last file was closed.
    pub closes: u64,
    /// Of these, by a process that was about to end.
    pub deaths: u64,
    /// The processes that used it, in the order of their first use. Two processes that had one pid
    /// after each other are two entries.
    pub users: Vec<User>,
    /// An example for each rule: what was seen the first time.
    #[serde(skip)]
    pub examples: BTreeMap<Rule, Evidence>,
    /// When its sums were last used, by a count of their uses.
    #[serde(skip)]
    pub(crate) used: u64,
}

/// A process that used a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Its process id.
    pub pid: u32,
    /// Its name: the command name of the thread that was seen first.
    pub comm: String,
    /// The virtual machine's name, if it is known.
    pub vm: Option<String>,
    /// Whether it is known to have ended: another user with this pid is another process.
    #[serde(skip)]
    pub(crate) ended: bool,
}

json::list! {
    ByDevice of DeviceEntry {
        device: String,
        #[serde(flatten)]
        stats: DeviceStats,
    }
}

/// What happened in the whole trace.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// By the device's name.
    #[serde(with = "ByDevice")]
    pub devices: BTreeMap<String, DeviceStats>,
    /// Migration data of files whose device is not known.
    pub unknown_data: DataStats,
    #[serde(skip)]
    pub(crate) room: room::Room,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_observed_is_not_zero() {
        assert_eq!(RegionStats::default().stage(Stage::Wake), None);
        assert_eq!(RegionStats::default().total(), None);
    }
}
