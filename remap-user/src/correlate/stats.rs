//! What the trace adds up to: cycles, times and findings per device and region.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::cycle::{Cycle, Outcome, Stage};
use super::finding::{Finding, Rule};
use super::transition::Transition;

/// A quantity's distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// Number of values.
    pub count: u64,
    /// Median, ns.
    pub p50: u64,
    /// 90th percentile, ns.
    pub p90: u64,
    /// 99th percentile, ns.
    pub p99: u64,
    /// Largest, ns.
    pub max: u64,
}

/// Values, to three significant digits.
#[derive(Clone, Debug, Default)]
struct Times(Option<Histogram<u64>>);

impl Times {
    fn record(&mut self, ns: u64) {
        if self.0.is_none() {
            self.0 = Histogram::new(3).ok();
        }
        if let Some(histogram) = &mut self.0 {
            // It grows as needed. Only a value beyond its number space is refused, and no time
            // is that long.
            let _refused = histogram.record(ns);
        }
    }

    fn quantiles(&self) -> Option<Quantiles> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(Quantiles {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        })
    }
}

/// What happened to one region.
#[derive(Clone, Debug, Default)]
pub struct RegionStats {
    /// Cycles by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Findings by rule.
    pub findings: BTreeMap<Rule, u64>,
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
    /// State changes.
    pub transitions: u64,
    /// Signals of IRQ indexes that are no remap IRQ, or whose description was not seen.
    pub interrupts: BTreeMap<u32, u64>,
    /// An example for each rule: what was seen the first time.
    pub examples: BTreeMap<Rule, String>,
}

/// What happened in the whole trace.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// By the device's name.
    pub devices: BTreeMap<String, DeviceStats>,
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

    fn device(&mut self, name: &str) -> &mut DeviceStats {
        self.devices.entry(name.to_owned()).or_default()
    }

    pub(super) fn cycle(&mut self, cycle: &Cycle) {
        let regions = &mut self.device(&cycle.device).regions;
        regions.entry(cycle.region).or_default().record(cycle);
    }

    pub(super) fn transition(&mut self, transition: &Transition) {
        self.device(&transition.device).transitions += 1;
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

    pub(super) fn interrupt(&mut self, device: &str, index: u32) {
        *self.device(device).interrupts.entry(index).or_default() += 1;
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
    /// What was made of them.
    pub stats: Stats,
    /// What the user's filters kept back.
    pub withheld: Withheld,
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
    fn quantiles_of_one_to_a_hundred() {
        let mut times = Times::default();
        (1..=100).for_each(|ns| times.record(ns));
        let quantiles = times.quantiles().expect("a hundred values were recorded");
        assert_eq!(
            (
                quantiles.p50,
                quantiles.p90,
                quantiles.p99,
                quantiles.max,
                quantiles.count
            ),
            (50, 90, 99, 100, 100)
        );
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
