//! Outcomes as text.

use std::fmt::Write as _;

use remap_core::event::DeviceState;
use remap_core::model::{Transition, Zap};
use remap_core::vmm::downtime::Downtime;

use super::outcome::{Cost, Outcome};
use crate::rig::judge::sentence;
use crate::rig::line::{Lines, faults};

/// The steps of a scenario and the tracer's lines, in the order of time.
pub fn timeline(outcome: &Outcome, trace: &Lines) -> String {
    let begin = *outcome.span_ns.start();
    let mut lines: Vec<(u64, String)> = outcome
        .steps
        .iter()
        .map(|step| (step.ns, step.text.clone()))
        .collect();
    lines.extend(
        trace
            .transitions()
            .map(|transition| (transition.begin_ns, shown(transition))),
    );
    // A zap without faults afterwards has no cost.
    let touched = trace.zaps().filter(|zap| !faults(zap).is_empty());
    lines.extend(touched.map(|zap| (zap.time_ns, faulted(zap))));
    lines.extend(trace.downtimes().map(|downtime| {
        let Downtime {
            source,
            destination,
            total,
            error_ns,
            complete,
            ..
        } = downtime;
        let text = format!(
            "  {source} → {}: downtime {} (± {}): {} of it in QEMU, {}{} in the kernel",
            destination.as_deref().unwrap_or("none"),
            duration(total.duration()),
            duration(*error_ns),
            duration(total.vmm_ns()),
            if *complete { "" } else { "at least " },
            duration(total.kernel_ns())
        );
        (total.begin_ns, text)
    }));
    lines.sort_by_key(|(ns, _)| *ns);
    let mut text = String::new();
    for (ns, what) in lines {
        let after = ns.saturating_sub(begin);
        let _ = writeln!(
            text,
            "+{}.{:06}  {what}",
            after / 1_000_000_000,
            after / 1000 % 1_000_000
        );
    }
    text
}

fn shown(transition: &Transition) -> String {
    let Transition {
        device, from, to, ..
    } = transition;
    let state = |state: &Option<DeviceState>| sentence::known(*state);
    let result = transition.result.as_ref().map(sentence::outcome);
    let result = result.unwrap_or_else(|| "did not return".to_owned());
    let took = transition
        .duration()
        .map(|ns| format!(" in {}", duration(ns)));
    let took = took.unwrap_or_default();
    format!(
        "  {device}  {} → {}  {result}{took}",
        state(from),
        state(to)
    )
}

fn faulted(zap: &Zap) -> String {
    let (device, cause) = (&zap.device, &zap.cause);
    let regions: Vec<String> = faults(zap)
        .iter()
        .map(|(region, count)| format!("{count} of region {region}"))
        .collect();
    let regions = regions.join(", ");
    format!("  {device}    zapped by {cause}: pages that faulted in again: {regions}")
}

fn duration(ns: u64) -> String {
    if ns < 1_000_000 {
        format!("{} µs", ns / 1000)
    } else {
        format!("{}.{:02} ms", ns / 1_000_000, ns / 10_000 % 100)
    }
}

/// The costs of the outcomes' migrations.
pub fn costs(outcomes: &[&Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.costs.is_empty()) {
        let _ = writeln!(text, "{}", outcome.title);
        for cost in &outcome.costs {
            let _ = writeln!(text, "  {}", priced(cost));
        }
    }
    text
}

fn priced(cost: &Cost) -> String {
    let pages: u64 = cost.faults.values().sum();
    let regions: Vec<String> = cost
        .faults
        .iter()
        .map(|(region, count)| format!("region {region}: {count}"))
        .collect();
    let faults = match pages {
        0 => "no page faulted in".to_owned(),
        _ => format!("{pages} pages faulted in ({})", regions.join(", ")),
    };
    format!(
        "{:<6} total {:>5} ms, downtime {:>9}, {faults}",
        cost.way,
        cost.total_ms,
        duration(cost.downtime_ns)
    )
}
