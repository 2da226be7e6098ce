//! `cargo xtask lab --scenario qemu-migration`: the stories one after the other, shown and judged.

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use super::judge::judge;
use super::story::{self, Story, Tale};
use super::teller::{Hosts, logs};
use super::timeline::{costs, timeline};
use crate::rig::trace::{Line, Lines, Trace};

/// The stories, in their order.
const TALES: [&Tale; 5] = [
    &story::LIMPING,
    &story::UNTRAPPED,
    &story::CANCELLED,
    &story::KILLED,
    &story::REFUSED,
];

/// The option that names a scenario.
pub const OPTION: &str = "--scenario";

/// Plays a scenario in the guest.
pub fn play(name: &str) -> Result<ExitCode> {
    match name {
        "qemu-migration" => migration().map(|()| ExitCode::SUCCESS),
        _ => bail!("there is no scenario {name}: there is qemu-migration"),
    }
}

fn migration() -> Result<()> {
    let mut hosts = Hosts::new()?;
    let logs: Vec<String> = TALES.into_iter().flat_map(logs).collect();
    let arguments: Vec<&str> = logs.iter().flat_map(|log| ["--qemu-log", log]).collect();
    let trace = Trace::start(&arguments)?;
    let stories = TALES
        .into_iter()
        .map(|tale| tale.told(&mut hosts))
        .collect::<Result<Vec<_>>>()?;
    hosts.clean()?;
    let traced = trace.end(0)?;
    let mut changes = 0;
    for story in &stories {
        let lines = of(story, &traced.lines);
        println!("=== {} ===", story.tale.title);
        print!("{}", timeline(story, &lines));
        for finding in lines.findings() {
            println!("  found: {}: {}", finding.rule, finding.text);
        }
        let moved = lines.downtimes().filter(|downtime| downtime.end == "moved");
        let (moved, completed) = (moved.count(), story.costs.len());
        ensure!(
            moved == completed,
            "{}: {completed} migrations were completed, and the tracer has {moved} downtimes",
            story.tale.title
        );
        let agreement = judge(story, &lines).context(story.tale.title)?;
        println!(
            "judged: QEMU, the driver and the tracer agree on {} state changes, {} of which failed\n",
            agreement.changes, agreement.failed
        );
        changes += agreement.changes;
    }
    println!("=== what it cost ===");
    print!("{}", costs(&stories.iter().collect::<Vec<_>>()));
    let summary = traced.summary;
    summary.lost_nothing()?;
    println!(
        "\nqemu-migration: {changes} state changes agree, the firmware's register was continuous, {} records seen, none lost",
        summary.delivered
    );
    Ok(())
}

/// What the tracer said of a story's time.
fn of(story: &Story, all: &Lines) -> Lines {
    let (begin, end) = story.span_ns;
    let inside = |line: &&Line| {
        let ns = match line {
            Line::Transition(transition) => Some(transition.begin_ns),
            Line::Finding(finding) => Some(finding.time_ns),
            Line::Cycle(cycle) => cycle.trigger_ns,
            Line::Downtime(downtime) => Some(downtime.whole.begin_ns),
            Line::Zap(zap) => Some(zap.time_ns),
            _ => None,
        };
        ns.is_some_and(|ns| (begin..=end).contains(&ns))
    };
    Lines(all.0.iter().filter(inside).cloned().collect())
}
