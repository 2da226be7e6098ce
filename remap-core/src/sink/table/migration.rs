//! Migration: time in each state, how the time of state changes was spent, state data.

use std::fmt;

use super::{Times, TimesHead};
use crate::model::{ChangeStats, DataStats, FromTo, MigrationStats, Ns, StateStats};
use crate::sink::words::{Bytes, Change, Count, Percent};

pub(super) fn show(f: &mut fmt::Formatter<'_>, stats: &MigrationStats) -> fmt::Result {
    if !stats.states.is_empty() {
        let states: Vec<String> = stats
            .states
            .iter()
            .map(|(state, stats)| format!("{state} {}", Time(stats)))
            .collect();
        writeln!(f, "  time in each state: {}", states.join(", "))?;
    }
    if !stats.changes.is_empty() {
        writeln!(
            f,
            "  {:<32}{:>5}{:>7}{TimesHead}",
            "state change", "ok", "failed"
        )?;
    }
    for (FromTo { from, to }, change) in &stats.changes {
        let (name, ok) = (Change(*from, *to), change.succeeded);
        let failed: u64 = change.failed.values().sum();
        let times = Times(change.duration());
        write!(f, "  {name:<32}{ok:>5}{failed:>7}{times}")?;
        writeln!(f, "{}", Notes(change))?;
    }
    let spent = &stats.spent;
    let whole = spent.total();
    if whole > 0 {
        let parts: Vec<String> = [
            (spent.remap_ns, "waiting for user space to remap"),
            (spent.data_ns, "state data"),
            (spent.fault_ns, "faults"),
            (spent.other_ns, "the driver's own work"),
        ]
        .into_iter()
        .filter(|(ns, _)| *ns > 0)
        .map(|(ns, what)| format!("{} ({}) {what}", Ns(ns), Percent(ns, whole)))
        .collect();
        let (whole, parts) = (Ns(whole), parts.join(", "));
        writeln!(f, "  time in state changes: {whole}, of which {parts}")?;
    }
    state_data(f, stats)?;
    logging(f, stats)
}

/// The time in a state.
struct Time<'a>(&'a StateStats);

impl fmt::Display for Time<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.0;
        let at_least = if stats.complete { "" } else { "≥ " };
        write!(f, "{at_least}{}", Ns(stats.total_ns))?;
        match stats.intervals {
            0 | 1 => Ok(()),
            count => write!(f, " ({})", Count(count, "time")),
        }
    }
}

/// With what changes failed, and that some did not return.
struct Notes<'a>(&'a ChangeStats);

impl fmt::Display for Notes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.0.failed.iter();
        let mut notes: Vec<String> = failed
            .map(|(errno, count)| format!("{count} {errno}"))
            .collect();
        if self.0.unfinished > 0 {
            notes.push(format!("{} did not return", self.0.unfinished));
        }
        match notes.is_empty() {
            true => Ok(()),
            false => write!(f, "  {}", notes.join(", ")),
        }
    }
}

fn state_data(f: &mut fmt::Formatter<'_>, stats: &MigrationStats) -> fmt::Result {
    let whole = stats.activity().data;
    if !whole.any() {
        return Ok(());
    }
    writeln!(f, "  state data: {}", data(&whole))?;
    for (state, stats) in &stats.states {
        if stats.activity.data.any() {
            writeln!(f, "    in {state}: {}", data(&stats.activity.data))?;
        }
        if let Some(precopy) = &stats.precopy {
            let (initial, dirty) = (Bytes(precopy.initial_bytes), Bytes(precopy.dirty_bytes));
            writeln!(
                f,
                "    in {state}: last PRECOPY_INFO: {initial} initial, {dirty} dirty"
            )?;
        }
    }
    Ok(())
}

/// State data in words.
pub(super) fn data(data: &DataStats) -> String {
    let mut words: Vec<String> = [
        (data.reads, data.read_bytes, "read in", "read"),
        (data.writes, data.written_bytes, "written in", "write"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, bytes, what, call)| format!("{} {what} {}", Bytes(bytes), Count(count, call)))
    .collect();
    if words.is_empty() {
        words.push("none moved".to_owned());
    }
    if data.busy_ns > 0 {
        words.push(format!("{} in flight", Ns(data.busy_ns)));
    }
    if data.failed > 0 {
        let last = data.errno.map(|errno| format!(", last with {errno}"));
        words.push(format!(
            "{} failed{}",
            data.failed,
            last.unwrap_or_default()
        ));
    }
    words.join(", ")
}

fn logging(f: &mut fmt::Formatter<'_>, stats: &MigrationStats) -> fmt::Result {
    let logging = &stats.logging;
    if logging.starts + logging.reports + logging.stops + logging.failed == 0 {
        return Ok(());
    }
    let (starts, stops) = (Count(logging.starts, "start"), Count(logging.stops, "stop"));
    let (reports, time) = (Count(logging.reports, "report"), Ns(logging.report_ns));
    write!(f, "  DMA logging: {starts}, {reports} in {time}, {stops}")?;
    match logging.failed {
        0 => writeln!(f),
        failed => writeln!(f, ", {failed} failed"),
    }
}
