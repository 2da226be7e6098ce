//! The outcome of a scenario: its steps, QEMU's traces, the driver's logs, and the costs.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::clock::Ahead;
use super::vm::Ended;
use crate::rig::log::Log;

/// A step of a scenario.
#[derive(Clone, Debug)]
pub struct Step {
    /// CLOCK_MONOTONIC.
    pub ns: u64,
    /// What was done, or found.
    pub text: String,
}

/// The cost of a migration.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Its direction.
    pub way: &'static str,
    /// Between QEMU's STOP at the source and its RESUME at the destination, ns.
    pub downtime_ns: u64,
    /// As QEMU accounts it, ms.
    pub total_ms: u64,
    /// Pages that were touched again and faulted in while the source's device was saved, by region.
    pub faults: BTreeMap<u32, u64>,
}

/// A scenario that was played to its end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario's heading.
    pub title: &'static str,
    /// From its begin to its end, CLOCK_MONOTONIC.
    pub span_ns: RangeInclusive<u64>,
    /// The offset of QEMU's clock.
    pub ahead: Ahead,
    /// What was done.
    pub steps: Vec<Step>,
    /// Every QEMU, in the order of their starts.
    pub vms: Vec<Ended>,
    /// The driver's log of each device.
    pub logs: BTreeMap<String, Log>,
    /// The migrations that were completed.
    pub costs: Vec<Cost>,
}
