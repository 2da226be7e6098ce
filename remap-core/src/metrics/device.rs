//! The series of one device.

use std::collections::BTreeMap;

use super::{Histogram, Room, Rows};
use crate::{
    event::{Body, Call, Errno, RequestName},
    model::{Cycle, FromTo, Interrupt, IrqName, Outcome, Rule, Stage, Transition},
};

/// How a state change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Result {
    Ok,
    Failed(Errno),
    /// Its return was not observed.
    Unknown,
}

/// A vector: IRQ index, its name, sub-index.
pub type Vector = (u32, IrqName, u32);

/// What was counted of a device, by the labels of its series.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// When it was last used, by a count of all uses.
    pub used: u64,
    /// Whether its last file was closed.
    pub closed: bool,
    pub outcomes: BTreeMap<(u32, Outcome), u64>,
    pub stages: BTreeMap<(u32, Stage), Histogram>,
    pub cycles: BTreeMap<u32, Histogram>,
    pub changes: BTreeMap<FromTo, Histogram>,
    pub results: BTreeMap<(FromTo, Result), u64>,
    /// In ns.
    pub waited: BTreeMap<FromTo, u64>,
    pub vectors: BTreeMap<Vector, Histogram>,
    pub findings: BTreeMap<Rule, u64>,
    pub calls: BTreeMap<(&'static str, Option<Errno>), u64>,
}

impl Device {
    pub fn cycle(&mut self, cycle: &Cycle, room: &mut Room<'_>) {
        let region = cycle.region;
        room.add(&mut self.outcomes, (region, cycle.outcome), 1);
        // As in the summary: a cycle that is not complete may lack stages in between.
        if !cycle.complete() {
            return;
        }
        for stage in Stage::ALL {
            if let Some(ns) = cycle.stages.duration(*stage) {
                time(room, &mut self.stages, (region, *stage), ns);
            }
        }
        if let Some(ns) = cycle.stages.total() {
            time(room, &mut self.cycles, region, ns);
        }
    }

    pub fn change(&mut self, change: &Transition, room: &mut Room<'_>) {
        let key = FromTo {
            from: change.from,
            to: change.to,
        };
        let result = match change.result {
            Some(Ok(())) => Result::Ok,
            Some(Err(errno)) => Result::Failed(errno),
            None => Result::Unknown,
        };
        room.add(&mut self.results, (key, result), 1);
        if let Some(ns) = change.duration().filter(|_| result == Result::Ok) {
            time(room, &mut self.changes, key, ns);
        }
        if let Some(ns) = change.waited_ns {
            room.add(&mut self.waited, key, ns);
        }
    }

    pub fn interrupt(&mut self, interrupt: &Interrupt, room: &mut Room<'_>) {
        if let Some(ns) = interrupt.latency() {
            let vector = (interrupt.index, interrupt.name, interrupt.sub);
            time(room, &mut self.vectors, vector, ns);
        }
    }

    pub fn finding(&mut self, rule: Rule, room: &mut Room<'_>) {
        room.add(&mut self.findings, rule, 1);
    }

    pub fn call(&mut self, call: &'static str, errno: Option<Errno>, room: &mut Room<'_>) {
        room.add(&mut self.calls, (call, errno), 1);
    }

    /// The series that it has.
    pub fn rows(&self) -> Rows {
        let histograms = [
            self.stages.len(),
            self.cycles.len(),
            self.changes.len(),
            self.vectors.len(),
        ];
        let counters = [
            self.outcomes.len(),
            self.results.len(),
            self.waited.len(),
            self.findings.len(),
            self.calls.len(),
        ];
        Rows {
            histograms: histograms.iter().sum(),
            counters: counters.iter().sum(),
        }
    }

    pub fn merge(&mut self, other: Self, room: &mut Room<'_>) {
        self.closed = other.closed;
        add(room, &mut self.outcomes, other.outcomes);
        add(room, &mut self.results, other.results);
        add(room, &mut self.waited, other.waited);
        add(room, &mut self.findings, other.findings);
        add(room, &mut self.calls, other.calls);
        join(room, &mut self.stages, other.stages);
        join(room, &mut self.cycles, other.cycles);
        join(room, &mut self.changes, other.changes);
        join(room, &mut self.vectors, other.vectors);
    }
}

fn time<K: Ord>(room: &mut Room<'_>, of: &mut BTreeMap<K, Histogram>, key: K, ns: u64) {
    if let Some(histogram) = room.histogram(of, key) {
        histogram.record(ns);
    }
}

fn add<K: Ord>(room: &mut Room<'_>, of: &mut BTreeMap<K, u64>, others: BTreeMap<K, u64>) {
    for (key, count) in others {
        room.add(of, key, count);
    }
}

fn join<K: Ord>(
    room: &mut Room<'_>,
    of: &mut BTreeMap<K, Histogram>,
    others: BTreeMap<K, Histogram>,
) {
    for (key, other) in others {
        if let Some(histogram) = room.histogram(of, key) {
            histogram.add(&other);
        }
    }
}

/// The name of a call on a device that returned, and its errno if it failed.
pub fn returned(body: &Body) -> Option<(&'static str, Option<Errno>)> {
    match body {
        Body::Exit(exit) => Some((name(&exit.call), exit.result.err())),
        Body::StateWriteExit(write) => Some(("state write", write.result.err())),
        _ => None,
    }
}

/// The name of a call as a label. User space chooses the number of a request: those without a name have
/// one label.
fn name(call: &Call) -> &'static str {
    let request = match call {
        Call::SetIrqs { .. } => return "SET_IRQS",
        Call::GetIrqInfo { .. } => return "GET_IRQ_INFO",
        Call::GetRegionInfo { .. } => return "GET_REGION_INFO",
        Call::Feature { .. } => return "FEATURE",
        Call::Reset => return "RESET",
        Call::HotReset => return "PCI_HOT_RESET",
        Call::BindIommufd { .. } => return "BIND_IOMMUFD",
        Call::AttachPt { .. } => return "ATTACH_IOMMUFD_PT",
        Call::DetachPt => return "DETACH_IOMMUFD_PT",
        Call::Other { request } | Call::Unreadable { request } => *request,
    };
    RequestName(request).known().unwrap_or("other")
}
