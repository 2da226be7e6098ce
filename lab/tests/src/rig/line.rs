//! The lines of a trace as values (`docs/json.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// One line of a trace.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// A region that was named by one trigger.
    Cycle(Box<Cycle>),
    /// A state change.
    Transition(Transition),
    /// A violation, or something unusual.
    Finding(Finding),
    /// A record as it arrived.
    Event(Value),
    /// The time in which a virtual machine ran on neither side of its migration.
    Downtime(Downtime),
    /// A call that was in flight when the trace began.
    InFlightCall(InFlightCall),
    /// Pages that were zapped in mappings.
    Zap(Zap),
    /// An eventfd or a region that was inferred to be a device's.
    Inferred(Inferred),
    /// A device was closed for the last time.
    Closed(Closed),
    /// The end.
    Summary(Summary),
    /// Of a type that no test reads.
    #[serde(other)]
    Other,
}

impl Line {
    /// When it happened, CLOCK_MONOTONIC ns; `None` of what has no time of its own.
    pub fn time_ns(&self) -> Option<u64> {
        match self {
            Self::Cycle(cycle) => cycle.trigger_ns,
            Self::Transition(transition) => Some(transition.begin_ns),
            Self::Finding(finding) => Some(finding.time_ns),
            Self::Event(event) => event["time_ns"].as_u64(),
            Self::Downtime(downtime) => Some(downtime.total.begin_ns),
            Self::Zap(zap) => Some(zap.time_ns),
            Self::Closed(closed) => Some(closed.time_ns),
            Self::InFlightCall(_) | Self::Inferred(_) | Self::Summary(_) | Self::Other => None,
        }
    }
}

/// The time in which a virtual machine ran on neither side of its migration.
#[derive(Clone, Debug, Deserialize)]
pub struct Downtime {
    pub source: String,
    pub destination: Option<String>,
    pub end: String,
    pub error_ns: u64,
    pub complete: bool,
    pub total: Part,
}

/// A device was closed for the last time.
#[derive(Clone, Debug, Deserialize)]
pub struct Closed {
    pub time_ns: u64,
    pub dying: Option<bool>,
    pub state: Option<String>,
    pub pid: u32,
}

/// An eventfd or a region that was inferred to be a device's.
#[derive(Clone, Debug, Deserialize)]
pub struct Inferred {
    pub origin: String,
}

/// Pages that were zapped in mappings.
#[derive(Clone, Debug, Deserialize)]
pub struct Zap {
    pub device: String,
    pub cause: String,
    pub cause_text: String,
    pub time_ns: u64,
    pub regions: Vec<ZappedRegion>,
    pub wakeup_ns: Option<u64>,
}

/// A region that lost its pages.
#[derive(Clone, Debug, Deserialize)]
pub struct ZappedRegion {
    pub region: u32,
    pub pages: Vec<Pages>,
}

/// Faults that each populated so much.
#[derive(Clone, Debug, Deserialize)]
pub struct Pages {
    pub faults: u64,
}

impl Zap {
    /// How many faults populated each region again, of the regions that were touched.
    pub fn faults(&self) -> BTreeMap<u32, u64> {
        let of = |region: &ZappedRegion| {
            let count = region.pages.iter().map(|pages| pages.faults).sum();
            (region.region, count)
        };
        let touched = |(_, count): &(u32, u64)| *count > 0;
        self.regions.iter().map(of).filter(touched).collect()
    }
}

/// A call that was in flight when the trace began.
#[derive(Clone, Debug, Deserialize)]
pub struct InFlightCall {
    pub device: String,
    pub what: String,
    pub waits_in: Option<Vec<String>>,
    pub over: bool,
    pub tid: u32,
}

/// A part of a downtime.
#[derive(Clone, Debug, Deserialize)]
pub struct Part {
    pub begin_ns: u64,
    pub end_ns: u64,
    pub kernel_ns: u64,
    pub vmm_ns: u64,
}

/// The acknowledgement of a cycle.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Ack {
    pub form: String,
    pub value: Option<u64>,
}

/// The state change that a cycle happened in.
#[derive(Clone, Debug, Deserialize)]
pub struct TransitionRef {
    pub id: u64,
}

/// A region that was named by one trigger.
#[derive(Clone, Debug, Deserialize)]
pub struct Cycle {
    pub device: String,
    /// None of a trigger that is inferred.
    pub encoding: Option<String>,
    pub region: u32,
    pub trigger_id: u64,
    pub outcome: String,
    pub trigger_ns: Option<u64>,
    pub wake_ns: Option<u64>,
    pub requery_ns: Option<u64>,
    pub ack_ns: Option<u64>,
    pub ack_return_ns: Option<u64>,
    pub ack: Ack,
    pub missing: Vec<String>,
    pub reason: Option<String>,
    pub transition: Option<TransitionRef>,
}

impl Cycle {
    /// Whether nothing went wrong.
    pub fn is_good(&self) -> bool {
        ["remapped", "unchanged"].contains(&self.outcome.as_str())
    }

    /// Whether nothing went wrong, and nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.is_good() && self.missing.is_empty()
    }

    /// Whether it is incomplete because records of it were lost.
    pub fn is_incomplete(&self) -> bool {
        self.outcome == "incomplete" && self.reason.as_deref() == Some("records lost")
    }
}

/// A state change.
#[derive(Clone, Debug, Deserialize)]
pub struct Transition {
    pub id: u64,
    pub device: String,
    pub from: Option<String>,
    pub to: Option<String>,
    pub begin_ns: u64,
    pub end_ns: Option<u64>,
    pub result: Option<String>,
    pub waited_ns: Option<u64>,
}

/// A violation, or something unusual.
#[derive(Clone, Debug, Deserialize)]
pub struct Finding {
    pub rule: String,
    pub region: Option<u32>,
    pub text: String,
    pub time_ns: u64,
}

/// What the filters withheld.
#[derive(Clone, Debug, Deserialize)]
pub struct Withheld {
    pub records: u64,
    pub by_class: u64,
    pub by_latency: u64,
}

/// The end.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    pub seen: Option<u64>,
    pub delivered: u64,
    pub lost: BTreeMap<String, u64>,
    /// What the filters withheld.
    pub withheld: Withheld,
    /// Program runs that the kernel skipped, per program.
    pub missed: Vec<Value>,
    pub cycles: u64,
    pub transitions: u64,
    pub findings: BTreeMap<String, u64>,
    pub devices: Vec<Value>,
}

impl Summary {
    /// All that was lost.
    pub fn lost(&self) -> u64 {
        self.lost.values().sum()
    }

    /// That nothing was lost; else what, and the programs that the kernel skipped.
    pub fn lost_nothing(&self) -> Result<()> {
        let (lost, missed) = (&self.lost, Value::from(self.missed.clone()));
        ensure!(self.lost() == 0, "the tracer lost {lost:?}: {missed}");
        Ok(())
    }

    /// That *seen = delivered + lost* holds.
    pub fn exact(&self) -> Result<()> {
        ensure!(
            self.seen == Some(self.delivered + self.lost()),
            "the account does not balance: {self:?}"
        );
        Ok(())
    }
}

/// The lines of a trace, in its order.
#[derive(Clone, Debug, Default)]
pub struct Lines(pub Vec<Line>);

impl Lines {
    /// Those of a span of time.
    pub fn within(&self, span_ns: &RangeInclusive<u64>) -> Self {
        let inside = |line: &&Line| line.time_ns().is_some_and(|ns| span_ns.contains(&ns));
        Self(self.0.iter().filter(inside).cloned().collect())
    }

    /// The cycles.
    pub fn cycles(&self) -> impl Iterator<Item = &Cycle> {
        self.0.iter().filter_map(|line| match line {
            Line::Cycle(cycle) => Some(cycle.as_ref()),
            _ => None,
        })
    }

    /// The state changes.
    pub fn transitions(&self) -> impl Iterator<Item = &Transition> {
        self.0.iter().filter_map(|line| match line {
            Line::Transition(transition) => Some(transition),
            _ => None,
        })
    }

    /// The findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter_map(|line| match line {
            Line::Finding(finding) => Some(finding),
            _ => None,
        })
    }

    /// The downtimes of virtual machines.
    pub fn downtimes(&self) -> impl Iterator<Item = &Downtime> {
        self.0.iter().filter_map(|line| match line {
            Line::Downtime(downtime) => Some(downtime),
            _ => None,
        })
    }

    /// The zaps.
    pub fn zaps(&self) -> impl Iterator<Item = &Zap> {
        self.0.iter().filter_map(|line| match line {
            Line::Zap(zap) => Some(zap),
            _ => None,
        })
    }

    /// The last closes of a device.
    pub fn closed(&self) -> impl Iterator<Item = &Closed> {
        self.0.iter().filter_map(|line| match line {
            Line::Closed(closed) => Some(closed),
            _ => None,
        })
    }

    /// The origins of all that was inferred to be a device's.
    pub fn inferred(&self) -> Vec<&str> {
        let lines = self.0.iter().filter_map(|line| match line {
            Line::Inferred(inferred) => Some(inferred.origin.as_str()),
            _ => None,
        });
        lines.collect()
    }

    /// The calls that were in flight when the trace began.
    pub fn in_flight_calls(&self) -> impl Iterator<Item = &InFlightCall> {
        self.0.iter().filter_map(|line| match line {
            Line::InFlightCall(call) => Some(call),
            _ => None,
        })
    }

    /// The single records.
    pub fn events(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter_map(|line| match line {
            Line::Event(event) => Some(event),
            _ => None,
        })
    }

    /// That the findings are of these rules, each at least once, and of no others.
    pub fn found(&self, rules: &[&str]) -> Result<()> {
        let found: BTreeSet<&str> = self
            .findings()
            .map(|finding| finding.rule.as_str())
            .collect();
        let expected: BTreeSet<&str> = rules.iter().copied().collect();
        let texts = self.findings().map(|finding| {
            let Finding {
                rule, region, text, ..
            } = finding;
            format!("{rule} (region {region:?}): {text}")
        });
        ensure!(
            found == expected,
            "found {found:?} instead of {expected:?}: {:#?}",
            texts.collect::<Vec<_>>()
        );
        Ok(())
    }

    /// That every cycle is complete.
    pub fn complete(&self) -> Result<()> {
        for cycle in self.cycles() {
            ensure!(cycle.is_complete(), "not complete: {cycle:?}");
        }
        Ok(())
    }
}
