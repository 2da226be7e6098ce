//! Derived events: what the correlation has made of the records, each as a row of named values.
//!
//! [`Kind::columns`] is the table from which the columns of CSV and the tracepoints of a perf.data file are made.

mod call;
mod table;

pub use call::call;
pub use table::{Column, Kind};

use crate::{
    event::{Errno, Task},
    model::{Blind, Cycle, Finding, Interrupt, Output, Stage, StateInterval, Transition, Zap},
    sink::sentence,
    vmm::downtime::Downtime,
};

/// The outcome of a state interval that the device left by a state change.
pub const LEFT: &str = "left";
/// The outcome of one that ended otherwise: a reset, a close, the end of the trace.
pub const CUT: &str = "cut";

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// Text, exactly as others chose it.
    Text(String),
}

/// A derived event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// What it is.
    pub kind: Kind,
    /// When it was over; where that is not known, when it began (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// When it began (CLOCK_MONOTONIC ns); `None` if that was not observed.
    pub begin_ns: Option<u64>,
    /// How long it took, ns; `None` for what takes no time, and where it is not known.
    pub duration_ns: Option<u64>,
    /// The thread; `None` if there is none in particular, or it was not observed.
    pub task: Option<Task>,
    values: Vec<(Column, Value)>,
}

impl Derived {
    fn new(kind: Kind, time_ns: u64, task: Option<&Task>) -> Self {
        Self {
            kind,
            time_ns,
            begin_ns: None,
            duration_ns: None,
            task: task.cloned(),
            values: Vec::new(),
        }
    }

    fn since(mut self, begin_ns: Option<u64>, duration_ns: Option<u64>) -> Self {
        (self.begin_ns, self.duration_ns) = (begin_ns, duration_ns);
        self.number(Column::BeginNs, begin_ns)
            .number(Column::DurationNs, duration_ns)
    }

    fn number(mut self, column: Column, number: Option<impl Into<u64>>) -> Self {
        let value = number.map(|number| Value::Number(number.into()));
        self.values.extend(value.map(|value| (column, value)));
        self
    }

    fn text(mut self, column: Column, text: impl Into<String>) -> Self {
        self.values.push((column, Value::Text(text.into())));
        self
    }

    fn maybe(self, column: Column, text: Option<impl ToString>) -> Self {
        match text {
            Some(text) => self.text(column, text.to_string()),
            None => self,
        }
    }

    fn errno<T>(self, result: Option<Result<T, Errno>>) -> Self {
        self.maybe(
            Column::Errno,
            result.map(|result| result.map_or_else(|errno| errno.to_string(), |_| "ok".into())),
        )
    }

    /// What it has; `None` for what is not known, and what its kind does not have.
    pub fn value(&self, column: Column) -> Option<&Value> {
        let mut values = self.values.iter();
        let found = values.find(|(has, _)| *has == column);
        found.map(|(_, value)| value)
    }

    /// A number that it has.
    pub fn number_of(&self, column: Column) -> Option<u64> {
        match self.value(column)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) => None,
        }
    }

    /// A text that it has.
    pub fn text_of(&self, column: Column) -> Option<&str> {
        match self.value(column)? {
            Value::Text(text) => Some(text),
            Value::Number(_) => None,
        }
    }

    /// The region that it is about.
    pub fn region(&self) -> Option<u32> {
        u32::try_from(self.number_of(Column::Region)?).ok()
    }
}

/// The derived events of an output.
pub fn derive(output: &Output) -> Vec<Derived> {
    match output {
        Output::Cycle(cycle) => cycle_and_stages(cycle),
        Output::Transition(change) => vec![transition(change)],
        Output::StateInterval(interval) => vec![state_interval(interval)],
        Output::Interrupt(taken) => vec![interrupt(taken)],
        Output::Zap(pages) => vec![zap(pages)],
        Output::Finding(found) => vec![finding(found)],
        // A stage is derived from its cycle; the rest takes no time, and is among the records.
        Output::Stage(_)
        | Output::IrqChange(_)
        | Output::Mapped(_)
        | Output::Opened(_)
        | Output::Closed(_)
        | Output::Inferred(_)
        | Output::InFlightCall(_) => Vec::new(),
    }
}

fn cycle_and_stages(cycle: &Cycle) -> Vec<Derived> {
    let observed = Stage::ALL
        .iter()
        .filter_map(|stage| Some((*stage, cycle.stages.get(*stage)?)));
    let stages = observed.clone().map(|(stage, stamp)| {
        let duration_ns = cycle.stages.duration(stage);
        let begin_ns = match (stage, duration_ns) {
            (Stage::Trigger, _) => Some(stamp.ns),
            (_, Some(duration_ns)) => stamp.ns.checked_sub(duration_ns),
            (_, None) => None,
        };
        Derived::new(Kind::Stage, stamp.ns, Some(&stamp.task))
            .text(Column::Device, &cycle.device)
            .number(Column::Region, Some(cycle.region))
            .number(Column::TriggerId, Some(cycle.trigger_id))
            .text(Column::Stage, stage.name())
            .text(Column::Outcome, cycle.outcome.name())
            .since(begin_ns, duration_ns)
    });
    let last = observed.clone().map(|(_, stamp)| stamp.ns).max();
    let errno = match cycle.reason {
        Some(crate::model::Reason::ChangeFailed { errno }) => Some(Err::<(), _>(errno)),
        _ => None,
    };
    let trigger_ns = cycle.stages.ns(Stage::Trigger);
    let row = Derived::new(Kind::Cycle, last.unwrap_or(0), cycle.owner())
        .text(Column::Device, &cycle.device)
        .number(Column::Region, Some(cycle.region))
        .number(Column::TriggerId, Some(cycle.trigger_id))
        .number(
            Column::TransitionId,
            cycle.transition.map(|change| change.id),
        )
        .text(Column::Outcome, cycle.outcome.name())
        .errno(errno)
        .since(trigger_ns, cycle.stages.total())
        .maybe(Column::Text, sentence::reason(cycle));
    [row].into_iter().chain(stages).collect()
}

fn transition(change: &Transition) -> Derived {
    let time_ns = change.end_ns.unwrap_or(change.begin_ns);
    Derived::new(Kind::Transition, time_ns, Some(&change.task))
        .text(Column::Device, &change.device)
        .number(Column::TransitionId, Some(change.id))
        .maybe(Column::From, change.from)
        .maybe(Column::To, change.to)
        .errno(change.result)
        .since(Some(change.begin_ns), change.duration())
        .number(Column::WaitedNs, change.waited_ns)
}

fn state_interval(interval: &StateInterval) -> Derived {
    Derived::new(Kind::StateInterval, interval.until_ns, Some(&interval.task))
        .text(Column::Device, &interval.device)
        .text(Column::State, interval.state.to_string())
        .text(Column::Outcome, if interval.left { LEFT } else { CUT })
        .since(Some(interval.since_ns), Some(interval.duration()))
}

fn interrupt(taken: &Interrupt) -> Derived {
    let outcome = match taken.in_kernel {
        true => "taken",
        false => "read",
    };
    let known = (taken.index != crate::event::UNKNOWN_INDEX).then_some(taken.index);
    Derived::new(Kind::Interrupt, taken.time_ns, Some(&taken.task))
        .text(Column::Device, &taken.device)
        .text(Column::Irq, taken.name.name())
        .number(Column::IrqIndex, known)
        .number(Column::SubIndex, known.map(|_| taken.sub))
        .number(Column::Signals, taken.signals)
        .text(Column::Outcome, outcome)
        .since(taken.signal_ns, taken.latency())
}

fn zap(zap: &Zap) -> Derived {
    let only = match zap.regions.as_slice() {
        [only] => Some(only.region),
        _ => None,
    };
    let time_ns = zap.last_ns.unwrap_or(zap.time_ns);
    Derived::new(Kind::Zap, time_ns, Some(&zap.task))
        .text(Column::Device, &zap.device)
        .number(Column::Region, only)
        .number(Column::TransitionId, zap.transition.map(|change| change.id))
        .text(Column::Cause, zap.cause.to_string())
        .text(Column::Outcome, zap.end.name())
        .number(Column::Faults, Some(zap.populated()))
        .number(Column::Refused, Some(zap.refused()))
        .number(Column::Bytes, zap.bytes())
        .since(Some(zap.time_ns), zap.duration())
}

fn finding(finding: &Finding) -> Derived {
    Derived::new(Kind::Finding, finding.time_ns, None)
        .text(Column::Device, &finding.device)
        .number(Column::Region, finding.region)
        .number(Column::TriggerId, finding.trigger_id)
        .text(Column::Rule, finding.rule().name())
        .text(Column::Text, sentence::finding(&finding.evidence))
}

/// The derived event of a downtime.
pub fn downtime(downtime: &Downtime) -> Derived {
    let Downtime {
        source,
        destination,
        total,
        ..
    } = downtime;
    let text = match destination {
        Some(destination) => format!("{source} → {destination}"),
        None => source.clone(),
    };
    Derived::new(Kind::Downtime, total.end_ns, None)
        .text(Column::Outcome, downtime.end.name())
        .since(Some(total.begin_ns), Some(total.duration()))
        .text(Column::Text, text)
}

/// The derived event of a time in which hooks did not fire; `None` while it lasts.
pub fn blind(blind: &Blind) -> Option<Derived> {
    let until_ns = blind.until_ns?;
    let row = Derived::new(Kind::Blind, until_ns, None)
        .text(Column::Cause, blind.cause.name())
        .since(Some(blind.since_ns), blind.duration())
        .text(Column::Text, sentence::blind(blind));
    Some(row)
}
