//! Stories for a reader.

use std::fmt::Write as _;

use super::story::{Cost, Story};
use crate::rig::trace::{Downtime, Lines, Transition, Zap};

/// What happened, in the order of time: the story's own steps, and the state changes that the
/// tracer saw.
pub fn timeline(story: &Story, trace: &Lines) -> String {
    let begin = story.span_ns.0;
    let mut lines: Vec<(u64, String)> = story
        .steps
        .iter()
        .map(|step| (step.ns, step.text.clone()))
        .collect();
    lines.extend(
        trace
            .transitions()
            .map(|transition| (transition.begin_ns, shown(transition))),
    );
    // What nobody has touched again costs nothing.
    let touched = trace.zaps().filter(|zap| !zap.faults().is_empty());
    lines.extend(touched.map(|zap| (zap.time_ns, faulted(zap))));
    lines.extend(trace.downtimes().map(|downtime| {
        let Downtime {
            source,
            destination,
            whole,
            error_ns,
            complete,
            ..
        } = downtime;
        let text = format!(
            "  {source} → {}: the virtual machine runs nowhere for {} (± {}): {} of it in QEMU, {}{} in the kernel",
            destination.as_deref().unwrap_or("nobody"),
            duration(whole.end_ns.saturating_sub(whole.begin_ns)),
            duration(*error_ns),
            duration(whole.vmm_ns),
            if *complete { "" } else { "at least " },
            duration(whole.kernel_ns)
        );
        (whole.begin_ns, text)
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
    let state = |state: &Option<String>| state.clone().unwrap_or_else(|| "?".to_owned());
    let result = transition.result.as_deref().unwrap_or("did not return");
    let took = transition
        .end_ns
        .map(|end_ns| {
            format!(
                " in {}",
                duration(end_ns.saturating_sub(transition.begin_ns))
            )
        })
        .unwrap_or_default();
    format!(
        "  {device}  {} → {}  {result}{took}",
        state(from),
        state(to)
    )
}

fn faulted(zap: &Zap) -> String {
    let (device, cause) = (&zap.device, &zap.cause_text);
    let regions: Vec<String> = zap
        .faults()
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

/// What the migrations of stories took.
pub fn costs(stories: &[&Story]) -> String {
    let mut text = String::new();
    for story in stories.iter().filter(|story| !story.costs.is_empty()) {
        let _ = writeln!(text, "{}", story.tale.title);
        for cost in &story.costs {
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
