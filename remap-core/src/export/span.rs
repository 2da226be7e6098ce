//! Spans: a trace for each migration of a device, with a span for each state change and state, a child for each
//! cycle and zap, and a child of that for each stage. Findings are events of the migration's span.
//!
//! A migration begins with a state change, and ends when the device is in RUNNING again, or when its state ends
//! without a state change (a reset, a close). Ids are hashes of what a span is about, so that a child can be
//! passed on before its parent has ended, and the same recording has the same ids each time.

mod id;
mod migration;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io};

use super::{
    Rows,
    derived::{CUT, Column, Derived, Kind, Value},
};
use crate::{model::Outcome, perfdata::ClockPair};
use id::Ids;
use migration::Migration;

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
    /// The span that it is a part of.
    pub parent: Option<[u8; 8]>,
    /// What it is.
    pub name: String,
    /// When it began (ns since 1970; without clocks, CLOCK_MONOTONIC ns).
    pub begin_ns: u64,
    /// When it ended, in the same way.
    pub end_ns: u64,
    /// Its values, and the thread.
    pub attributes: Vec<(String, Value)>,
    /// What happened meanwhile.
    pub events: Vec<Moment>,
    /// How many more events there were.
    pub dropped_events: u32,
    /// The errno of what failed, the outcome of a cycle that is not complete, or the rule of a finding.
    pub failed: Option<String>,
}

/// An event of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, as in a span.
    pub time_ns: u64,
    /// What.
    pub name: String,
    /// Its values.
    pub attributes: Vec<(String, Value)>,
}

/// Takes spans as they end.
pub trait Spans {
    /// One of them.
    ///
    /// # Errors
    /// What the writer returns.
    fn span(&mut self, span: Span) -> io::Result<()>;

    /// The end.
    ///
    /// # Errors
    /// What the writer returns.
    fn end(&mut self) -> io::Result<()>;
}

/// Of so many devices a migration is open at a time; then the first one is passed on as it is.
const MOST: usize = 1024;
/// How long a migration that has ended waits for findings, ns: less than the pipeline goes on after an
/// event, and more than the evidence of a finding takes to settle.
const SETTLE_NS: u64 = 1_000_000_000;

/// Makes spans of derived events.
#[derive(Debug)]
pub struct Spanning<S> {
    spans: S,
    clocks: ClockPair,
    ids: Ids,
    migrations: BTreeMap<String, Migration>,
    /// The trace and the span of the last cycle: its stages follow it.
    cycle: Option<([u8; 16], [u8; 8])>,
}

impl<S: Spans> Spanning<S> {
    /// Passes spans to `spans`. `seed` distinguishes traces of remap: their host and begin. Without clocks times
    /// are CLOCK_MONOTONIC.
    pub fn new(spans: S, clocks: Option<ClockPair>, seed: &str) -> Self {
        Self {
            spans,
            clocks: clocks.unwrap_or_default(),
            ids: Ids::new(seed),
            migrations: BTreeMap::new(),
            cycle: None,
        }
    }

    /// What takes the spans.
    pub fn spans(&mut self) -> &mut S {
        &mut self.spans
    }

    /// Passes on the migrations that have ended and can have no more findings at this time (CLOCK_MONOTONIC ns).
    ///
    /// # Errors
    /// What the writer returns.
    pub fn until(&mut self, now_ns: u64) -> io::Result<()> {
        let over = |migration: &mut Migration| {
            !migration.is_open && now_ns.saturating_sub(migration.end_ns) > SETTLE_NS
        };
        let ended: Vec<Migration> = self
            .migrations
            .extract_if(.., |_, migration| over(migration))
            .map(|(_, migration)| migration)
            .collect();
        ended
            .into_iter()
            .try_for_each(|migration| self.spans.span(migration.into_span(self.clocks)))
    }

    /// The migration of a device that a state change belongs to; begins one if there is none.
    fn migration(
        &mut self,
        device: &str,
        change: u64,
        begin_ns: u64,
    ) -> io::Result<&mut Migration> {
        let known = self.migrations.get(device);
        if known.is_none_or(|migration| !migration.has(change)) {
            let trace = self.ids.trace(&["migration", device, &change.to_string()]);
            let root = self.ids.span(&["migration", device, &change.to_string()]);
            let migration = Migration::new(device, (trace, root), change, begin_ns);
            let before = self.migrations.remove(device);
            let over = before.or_else(|| {
                let is_full = self.migrations.len() >= MOST;
                let first = is_full.then(|| self.migrations.pop_first())??;
                Some(first.1)
            });
            self.migrations.insert(device.to_owned(), migration);
            if let Some(over) = over {
                self.spans.span(over.into_span(self.clocks))?;
            }
        }
        let migration = self.migrations.get_mut(device);
        let migration = migration.ok_or_else(|| io::Error::other("no migration"))?;
        migration.add(change, begin_ns);
        Ok(migration)
    }

    fn span(&self, row: &Derived, ids: ([u8; 16], [u8; 8]), parent: Option<[u8; 8]>) -> Span {
        let begin_ns = row.begin_ns.unwrap_or(row.time_ns);
        Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent,
            name: name(row),
            begin_ns: wall(self.clocks, begin_ns),
            end_ns: wall(self.clocks, row.time_ns.max(begin_ns)),
            attributes: attributes(row),
            events: Vec::new(),
            dropped_events: 0,
            failed: failure(row).map(str::to_owned),
        }
    }

    fn transition(&mut self, row: &Derived, device: &str, change: u64) -> io::Result<()> {
        let ok = row.text_of(Column::Errno) == Some("ok");
        let runs = ok && row.text_of(Column::To) == Some("RUNNING");
        let begin_ns = row.begin_ns.unwrap_or(row.time_ns);
        let id = self.ids.span(&["transition", &change.to_string()]);
        let migration = self.migration(device, change, begin_ns)?;
        migration.end_ns = migration.end_ns.max(row.time_ns);
        migration.is_open &= !runs;
        migration.runs_again |= runs;
        let (trace, root) = (migration.trace, migration.root);
        self.spans.span(self.span(row, (trace, id), Some(root)))
    }

    fn cycle(&mut self, row: &Derived, device: &str) -> io::Result<()> {
        let [region, trigger] = [Column::Region, Column::TriggerId]
            .map(|column| row.number_of(column).unwrap_or_default().to_string());
        let key = ["cycle", device, &region, &trigger];
        let id = self.ids.span(&key);
        let begin_ns = row.begin_ns.unwrap_or(row.time_ns);
        let (trace, parent) = match row.number_of(Column::TransitionId) {
            Some(change) => {
                let trace = self.migration(device, change, begin_ns)?.trace;
                let parent = self.ids.span(&["transition", &change.to_string()]);
                (trace, Some(parent))
            }
            None => match self.migrations.get(device) {
                Some(migration) if migration.is_open => (migration.trace, Some(migration.root)),
                _ => (self.ids.trace(&key), None),
            },
        };
        self.cycle = Some((trace, id));
        self.spans.span(self.span(row, (trace, id), parent))
    }

    fn stage(&mut self, row: &Derived) -> io::Result<()> {
        let (Some((trace, parent)), Some(_)) = (self.cycle, row.duration_ns) else {
            // The trigger is the begin of its cycle; a stage with a gap before it has no begin.
            return Ok(());
        };
        let stage = row.text_of(Column::Stage).unwrap_or_default();
        let id = self.ids.child(parent, stage);
        self.spans.span(self.span(row, (trace, id), Some(parent)))
    }

    fn zap(&mut self, row: &Derived, device: &str) -> io::Result<()> {
        let Some(change) = row.number_of(Column::TransitionId) else {
            return Ok(());
        };
        let begin_ns = row.begin_ns.unwrap_or(row.time_ns);
        let trace = self.migration(device, change, begin_ns)?.trace;
        let parent = self.ids.span(&["transition", &change.to_string()]);
        let id = self.ids.span(&["zap", device, &begin_ns.to_string()]);
        self.spans.span(self.span(row, (trace, id), Some(parent)))
    }

    fn state(&mut self, row: &Derived, device: &str) -> io::Result<()> {
        let begin_ns = row.begin_ns.unwrap_or(row.time_ns);
        let migration = self.migrations.get_mut(device);
        let Some(migration) = migration.filter(|migration| migration.is_open) else {
            return Ok(());
        };
        if begin_ns < migration.begin_ns {
            return Ok(());
        }
        migration.end_ns = migration.end_ns.max(row.time_ns);
        migration.is_open &= row.text_of(Column::Outcome) != Some(CUT);
        let (trace, root) = (migration.trace, migration.root);
        let id = self.ids.span(&["state", device, &begin_ns.to_string()]);
        self.spans.span(self.span(row, (trace, id), Some(root)))
    }

    fn finding(&mut self, row: &Derived, device: &str) -> io::Result<()> {
        let clocks = self.clocks;
        let moment = Moment {
            time_ns: wall(clocks, row.time_ns),
            name: name(row),
            attributes: attributes(row),
        };
        match self.migrations.get_mut(device) {
            Some(migration) if migration.covers(row.time_ns) => {
                migration.event(moment);
                Ok(())
            }
            _ => self.alone(row),
        }
    }

    /// A span that belongs to no migration.
    fn alone(&mut self, row: &Derived) -> io::Result<()> {
        let values = row.kind.columns().iter();
        let values = values.filter_map(|column| row.value(*column));
        let values: Vec<String> = values.map(|value| format!("{value:?}")).collect();
        let time = row.time_ns.to_string();
        let mut key = vec![row.kind.name(), &time];
        key.extend(values.iter().map(String::as_str));
        let ids = (self.ids.trace(&key), self.ids.span(&key));
        self.spans.span(self.span(row, ids, None))
    }
}

impl<S: Spans> Rows for Spanning<S> {
    fn row(&mut self, row: &Derived) -> io::Result<()> {
        self.until(row.time_ns)?;
        let device = row.text_of(Column::Device).unwrap_or_default();
        match (row.kind, row.number_of(Column::TransitionId)) {
            (Kind::Transition, Some(change)) => self.transition(row, device, change),
            (Kind::Cycle, _) => self.cycle(row, device),
            (Kind::Stage, _) => self.stage(row),
            (Kind::Zap, _) => self.zap(row, device),
            (Kind::StateInterval, _) => self.state(row, device),
            (Kind::Finding, _) => self.finding(row, device),
            (Kind::Downtime | Kind::Blind, _) => self.alone(row),
            (Kind::Transition | Kind::Interrupt | Kind::Call, _) => Ok(()),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        for (_, migration) in std::mem::take(&mut self.migrations) {
            self.spans.span(migration.into_span(self.clocks))?;
        }
        self.spans.end()
    }
}

/// Why what a row is about failed, if it did.
fn failure(row: &Derived) -> Option<&str> {
    let complete = [Outcome::Remapped, Outcome::Unchanged].map(Outcome::name);
    match row.kind {
        Kind::Cycle => row
            .text_of(Column::Outcome)
            .filter(|outcome| !complete.contains(outcome)),
        Kind::Finding => row.text_of(Column::Rule),
        _ => row.text_of(Column::Errno).filter(|errno| *errno != "ok"),
    }
}

/// A moment of the wall clock.
fn wall(clocks: ClockPair, ns: u64) -> u64 {
    clocks.wall_of(ns).unwrap_or(0)
}

fn name(row: &Derived) -> String {
    let text = |column| row.text_of(column).unwrap_or("unknown");
    match row.kind {
        Kind::Transition => format!("change to {}", text(Column::To)),
        Kind::StateInterval => format!("state {}", text(Column::State)),
        Kind::Stage => text(Column::Stage).to_owned(),
        Kind::Finding => format!("finding {}", text(Column::Rule)),
        kind => kind.name().to_owned(),
    }
}

/// What it has, under the names of OpenTelemetry for a thread, and `remap.` for the rest.
fn attributes(row: &Derived) -> Vec<(String, Value)> {
    let columns = Column::ALL.iter();
    let columns = columns.filter(|column| !matches!(column, Column::BeginNs | Column::DurationNs));
    let values = columns.filter_map(|column| {
        Some((
            format!("remap.{}", column.name()),
            row.value(*column)?.clone(),
        ))
    });
    let thread = row.task.iter().flat_map(|task| {
        [
            ("process.pid".to_owned(), Value::Number(task.pid.into())),
            ("thread.id".to_owned(), Value::Number(task.tid.into())),
            ("thread.name".to_owned(), Value::Text(task.comm.clone())),
        ]
    });
    values.chain(thread).collect()
}
