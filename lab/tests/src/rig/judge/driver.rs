//! A trace compared with the driver's own log: the same signals, requeries, acks, waits and state
//! changes, at times that agree.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use remap_core::event::DeviceState;
use remap_core::model::{Cycle, Stage, Transition};

use crate::rig::line::{Lines, is_complete, is_lossy, trigger_ns};
use crate::rig::log::{Kind, Line, Log};

/// Compares a whole trace with the whole log.
pub fn agree(trace: &Lines, log: &Log) -> Result<()> {
    trace.found(&[])?;
    trace.complete()?;
    signals(trace, log).context("signals")?;
    answers(trace, log).context("answers")?;
    changes(trace, log).context("state changes")?;
    waits(trace, log).context("waits")
}

/// Compares a trace whose tracer lost records with the whole log: what it reports did happen, and
/// what it lacks it gives as lost.
pub fn agree_in_part(trace: &Lines, log: &Log) -> Result<()> {
    trace.found(&[])?;
    let signals = log.signals();
    let mut complete = 0;
    for cycle in trace.cycles() {
        ensure!(
            cycle.complete() || is_lossy(cycle),
            "neither good nor incomplete by a loss: {cycle:?}"
        );
        complete += u64::from(is_complete(cycle));
        let triggered = signals.iter().any(|(line, bits)| {
            bits & 1 << cycle.region != 0 && is_within(trigger_ns(cycle), line)
        });
        ensure!(
            triggered || trigger_ns(cycle).is_none() && is_lossy(cycle),
            "the driver did not signal then: {cycle:?}"
        );
    }
    ensure!(complete > 0, "no cycle is complete");
    let states = log.all(|kind| match kind {
        Kind::State { to, .. } => Some(to.as_str()),
        _ => None,
    });
    for change in trace.transitions() {
        let happened = states.iter().any(|(line, to)| {
            same(change.to, to)
                && change.begin_ns <= line.begin_ns
                && change.end_ns.is_none_or(|end_ns| end_ns >= line.end_ns)
        });
        ensure!(happened, "the driver did not change state then: {change:?}");
    }
    Ok(())
}

/// Whether a moment lies within the driver's own times around it.
fn is_within(ns: Option<u64>, line: &Line) -> bool {
    ns.is_some_and(|ns| (line.begin_ns..=line.end_ns).contains(&ns))
}

/// The log's signals are the trace's triggers: in the same order, with the same regions, at the same
/// time.
fn signals(trace: &Lines, log: &Log) -> Result<()> {
    let mut triggers: BTreeMap<u64, Vec<&Cycle>> = BTreeMap::new();
    for cycle in trace.cycles() {
        triggers.entry(cycle.trigger_id).or_default().push(cycle);
    }
    let signals = log.signals();
    ensure!(!signals.is_empty(), "the driver signalled nothing");
    ensure!(
        signals.len() == triggers.len(),
        "the driver signalled {} times, the trace has {}",
        signals.len(),
        triggers.len()
    );
    for ((id, cycles), (line, bits)) in triggers.iter().zip(signals) {
        let named = cycles
            .iter()
            .fold(0, |all, cycle| all | 1_u128 << cycle.region);
        ensure!(
            named == bits && cycles.len() == bits.count_ones() as usize,
            "trigger {id} names {named:#x} in {} cycles, and the driver {bits:#x}",
            cycles.len()
        );
        for cycle in cycles {
            let ns = trigger_ns(cycle);
            ensure!(is_within(ns, line), "{ns:?} is not within {line:?}");
        }
    }
    Ok(())
}

/// The cycles by region, each in the order of its triggers.
fn by_region(trace: &Lines) -> BTreeMap<u32, Vec<&Cycle>> {
    let mut regions: BTreeMap<u32, Vec<&Cycle>> = BTreeMap::new();
    for cycle in trace.cycles() {
        regions.entry(cycle.region).or_default().push(cycle);
    }
    for cycles in regions.values_mut() {
        cycles.sort_by_key(|cycle| cycle.trigger_id);
    }
    regions
}

/// For each cycle the log has one requery and one ack, at times that agree with the trace.
fn answers(trace: &Lines, log: &Log) -> Result<()> {
    let first = log.signals().first().map_or(0, |(line, _)| line.begin_ns);
    let after: Vec<&Line> = log.0.iter().filter(|line| line.begin_ns > first).collect();
    for (region, cycles) in by_region(trace) {
        let requeries = after.iter().filter(|line| {
            matches!(line.kind, Kind::Requery { region: asked, result: Some(0) } if asked == region)
        });
        let acks = after.iter().filter(|line| {
            matches!(line.kind, Kind::Ack { bits, ignored: false, .. } if bits & (1 << region) != 0)
        });
        let (requeries, acks): (Vec<_>, Vec<_>) = (requeries.collect(), acks.collect());
        ensure!(
            requeries.len() == cycles.len() && acks.len() == cycles.len(),
            "region {region}: {} cycles, but {} requeries and {} acks in the log",
            cycles.len(),
            requeries.len(),
            acks.len()
        );
        for ((cycle, requery), ack) in cycles.iter().zip(requeries).zip(acks) {
            // The trace has the time of the call's return, the log that of the driver's part.
            let ns = |stage| cycle.stages.ns(stage);
            let asked = ns(Stage::Requery).is_some_and(|ns| ns >= requery.end_ns);
            let woke =
                ns(Stage::Wake) >= ns(Stage::Trigger) && ns(Stage::Wake) <= ns(Stage::Requery);
            ensure!(asked && woke, "region {region}: {cycle:?} and {requery:?}");
            let (enter, leave) = (ns(Stage::Ack), cycle.ack_return_ns);
            let acked = enter.is_some_and(|ns| ns <= ack.begin_ns)
                && leave.is_some_and(|ns| ns >= ack.end_ns);
            ensure!(acked, "region {region}: {cycle:?} and {ack:?}");
        }
    }
    Ok(())
}

/// A state's name without the underscores of the legacy words.
fn state(name: &str) -> Vec<&str> {
    let mut words: Vec<&str> = name
        .split('|')
        .map(|word| word.trim_start_matches('_'))
        .collect();
    words.sort_unstable();
    words
}

/// Whether a traced state is the one that was logged.
fn same(traced: Option<DeviceState>, logged: &str) -> bool {
    traced.is_some_and(|traced| state(&traced.to_string()) == state(logged))
}

/// The state changes of the log, each with that of the trace.
fn paired<'a>(trace: &'a Lines, log: &'a Log) -> Result<Vec<(&'a Transition, &'a Line)>> {
    let lines = log.all(|kind| matches!(kind, Kind::State { .. }).then_some(()));
    let changes: Vec<&Transition> = trace.transitions().collect();
    ensure!(
        lines.len() == changes.len(),
        "the driver changed state {} times, the trace has {}",
        lines.len(),
        changes.len()
    );
    Ok(changes
        .into_iter()
        .zip(lines.into_iter().map(|(line, ())| line))
        .collect())
}

fn changes(trace: &Lines, log: &Log) -> Result<()> {
    for (number, (change, line)) in paired(trace, log)?.into_iter().enumerate() {
        let Kind::State { from, to, result } = &line.kind else {
            continue;
        };
        let begins = change.from.is_none() && number == 0 || same(change.from, from);
        ensure!(begins && same(change.to, to), "{change:?} and {line:?}");
        let ok = change.result == Some(Ok(()));
        ensure!(ok == (*result == Some(0)), "{change:?} and {line:?}");
        let around = change.begin_ns <= line.begin_ns
            && change.end_ns.is_some_and(|end_ns| end_ns >= line.end_ns);
        ensure!(around, "{change:?} is not around {line:?}");
        let mut triggered = false;
        for cycle in trace.cycles() {
            let within = is_within(trigger_ns(cycle), line);
            let named = cycle.transition.is_some_and(|named| named.id == change.id);
            ensure!(within == named, "{cycle:?} and {change:?}");
            triggered |= named;
        }
        let end_ns = change.end_ns.context("it has not returned")?;
        // Where nothing was triggered there is nothing to wait for.
        let waited = match change.waited_ns {
            Some(waited_ns) => triggered && waited_ns <= end_ns - change.begin_ns,
            None => !triggered,
        };
        ensure!(
            waited,
            "waited without a trigger, not at all, or too long: {change:?}"
        );
    }
    Ok(())
}

/// The waits that the trace infers, and those that the driver measured. The driver begins to wait
/// after its last signal and ends after the last ack: from its first signal to the end of its wait is
/// at least what the trace infers, and not much more.
fn waits(trace: &Lines, log: &Log) -> Result<()> {
    let (signals, waits) = (log.signals(), log.waits());
    let (mut inferred, mut measured, mut waiting) = (0, 0, 0);
    for (change, line) in paired(trace, log)? {
        let inside = |other: &Line| (line.begin_ns..=line.end_ns).contains(&other.begin_ns);
        let wait = waits.iter().find(|(other, _)| inside(other));
        // A change in which the driver does not wait may still be acked before it returns.
        let Some((wait, result)) = wait else {
            continue;
        };
        let waited = change.waited_ns.context("a wait that was not inferred")?;
        let done = matches!(
            wait.kind,
            Kind::Wait {
                unacked: 0,
                mapped: false,
                ..
            }
        );
        ensure!(done && *result == Some(0), "a wait failed: {wait:?}");
        let first = signals.iter().find(|(other, _)| inside(other));
        let first = first.context("a wait without a signal")?.0.begin_ns;
        let most = wait.end_ns - first;
        ensure!(
            waited > 0 && waited <= most,
            "waited {waited} of {most}: {change:?}"
        );
        inferred += waited;
        measured += most;
        waiting += 1;
    }
    ensure!(waiting > 0, "no state change waited");
    ensure!(
        inferred * 2 >= measured,
        "the trace infers waits of {inferred} ns, the driver measured {measured} ns"
    );
    Ok(())
}
