//! The lines of a trace: the types that `remap trace --json` writes, read back.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use anyhow::{Result, ensure};
use remap_core::check::{Check, Duty, Judgement};
use remap_core::event::{Body, Event, FaultOutcome};
use remap_core::model::{
    Closed, Cycle, Finding, InFlightCall, Inferred, Outcome, Output, Reason, Rule, Stage,
    StateInterval, Transition, Zap,
};
use remap_core::sink::Sink as _;
use remap_core::vmm::downtime::Downtime;

/// One line of a trace.
pub type Line = remap_core::sink::line::Line<'static>;

/// An event, and the name of its device.
pub type Named<'a> = (Option<&'a str>, &'a Event);

/// When it happened, CLOCK_MONOTONIC ns; `None` of what belongs to no test's span of time.
pub fn time_ns(line: &Line) -> Option<u64> {
    match line {
        Line::Cycle { cycle, .. } => trigger_ns(cycle),
        Line::Transition(transition) => Some(transition.begin_ns),
        Line::Finding { finding, .. } => Some(finding.time_ns),
        Line::Event { event, .. } => Some(event.time_ns),
        Line::Downtime(downtime) => Some(downtime.total.begin_ns),
        Line::Zap { zap, .. } => Some(zap.time_ns),
        Line::Closed { closed, .. } => Some(closed.time_ns),
        _ => None,
    }
}

/// When a cycle began.
pub fn trigger_ns(cycle: &Cycle) -> Option<u64> {
    cycle.stages.ns(Stage::Trigger)
}

/// Whether nothing went wrong in a cycle, and nothing of it is missing.
pub fn is_complete(cycle: &Cycle) -> bool {
    cycle.complete() && cycle.missing.is_empty()
}

/// Whether a cycle is incomplete because records of it were lost.
pub fn is_lossy(cycle: &Cycle) -> bool {
    cycle.outcome == Outcome::Incomplete && cycle.reason == Some(Reason::RecordsLost)
}

/// How many faults populated each region again after a zap, of the regions that were touched.
pub fn faults(zap: &Zap) -> BTreeMap<u32, u64> {
    let regions = zap.regions.iter();
    let faults = regions.map(|region| (region.region, region.populated()));
    faults.filter(|(_, count)| *count > 0).collect()
}

/// The output that a line was made of, if it is one that a check judges.
fn output(line: &Line) -> Option<Output> {
    Some(match line {
        Line::Cycle { cycle, .. } => Output::Cycle(Box::new(Cycle::clone(cycle))),
        Line::Transition(transition) => Output::Transition(Box::new(Transition::clone(transition))),
        Line::StateInterval(interval) => {
            Output::StateInterval(Box::new(StateInterval::clone(interval)))
        }
        Line::Finding { finding, .. } => Output::Finding(Finding::clone(finding)),
        _ => return None,
    })
}

/// The lines of a trace, in its order.
#[derive(Clone, Debug, Default)]
pub struct Lines(pub Vec<Line>);

/// Declares the iterators over the lines of one type.
macro_rules! lines_of {
    ($(#[doc = $doc:literal] $name:ident: $item:ty = $line:pat => $value:expr;)*) => {
        impl Lines {
            $(
                #[doc = $doc]
                pub fn $name(&self) -> impl Iterator<Item = $item> {
                    self.0.iter().filter_map(|line| match line {
                        $line => Some($value),
                        _ => None,
                    })
                }
            )*
        }
    };
}

lines_of! {
    /// The cycles.
    cycles: &Cycle = Line::Cycle { cycle, .. } => &**cycle;
    /// The state changes.
    transitions: &Transition = Line::Transition(transition) => &**transition;
    /// The findings, each with its sentence.
    findings: (&Finding, &str) = Line::Finding { finding, text, .. } => (&**finding, text.as_str());
    /// The downtimes of virtual machines.
    downtimes: &Downtime = Line::Downtime(downtime) => &**downtime;
    /// The zaps.
    zaps: &Zap = Line::Zap { zap, .. } => &**zap;
    /// The last closes of a device.
    closed: &Closed = Line::Closed { closed, .. } => &**closed;
    /// What was inferred to be a device's.
    inferred: &Inferred = Line::Inferred { inferred, .. } => &**inferred;
    /// The calls that were in flight when the trace began.
    in_flight_calls: &InFlightCall = Line::InFlightCall { call, .. } => &**call;
    /// The single records, each with the name of its device.
    named_events: Named<'_> = Line::Event { device, event } => (device.as_deref(), &**event);
}

impl Lines {
    /// The single records.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.named_events().map(|(_, event)| event)
    }

    /// What came of each fault.
    pub fn faults(&self) -> impl Iterator<Item = FaultOutcome> {
        self.events().filter_map(|event| match &event.body {
            Body::Fault(fault) => Some(fault.outcome),
            _ => None,
        })
    }

    /// Those of a span of time.
    pub fn within(&self, span_ns: &RangeInclusive<u64>) -> Self {
        let inside = |line: &&Line| time_ns(line).is_some_and(|ns| span_ns.contains(&ns));
        Self(self.0.iter().filter(inside).cloned().collect())
    }

    /// That the findings are of these rules, each at least once, and of no others.
    pub fn found(&self, rules: &[Rule]) -> Result<()> {
        let found: BTreeSet<Rule> = self.findings().map(|(finding, _)| finding.rule()).collect();
        ensure!(
            found == rules.iter().copied().collect(),
            "found {found:?} instead of {rules:?}: {:#?}",
            self.findings().collect::<Vec<_>>()
        );
        self.checked()
    }

    /// That a check finds those duties broken that the findings break, and no others.
    fn checked(&self) -> Result<()> {
        let mut check = Check::default();
        for output in self.0.iter().filter_map(output) {
            check.output(&output)?;
        }
        let verdict = check.verdict();
        let broken = [Judgement::Fail, Judgement::Advice].map(|judgement| verdict.met(judgement));
        let broken: BTreeSet<Duty> = broken.into_iter().flatten().map(|line| line.duty).collect();
        let findings = self.findings();
        let duties = findings.filter_map(|(finding, _)| Duty::of(&finding.evidence));
        ensure!(broken == duties.collect(), "{verdict}");
        Ok(())
    }

    /// That every cycle is complete.
    pub fn complete(&self) -> Result<()> {
        for cycle in self.cycles() {
            ensure!(is_complete(cycle), "not complete: {cycle:?}");
        }
        Ok(())
    }
}
