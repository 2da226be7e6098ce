//! `cargo xtask lab --scenario qemu-migration`: the scenarios one after the other, shown and judged.

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use remap_core::vmm::downtime::End;

use super::scenario::{self, Scenario};
use super::stage::Hosts;
use super::timeline::{costs, timeline};
use crate::rig::judge::qemu::judge;
use crate::rig::trace::Trace;

/// The scenarios, in their order.
const SCENARIOS: [&Scenario; 5] = [
    &scenario::LIMPING,
    &scenario::UNTRAPPED,
    &scenario::CANCELLED,
    &scenario::KILLED,
    &scenario::REFUSED,
];

/// The option that names a scenario.
pub const OPTION: &str = "--scenario";

/// Plays a scenario in the guest.
pub fn play(name: &str) -> Result<ExitCode> {
    match name {
        "qemu-migration" => migration().map(|()| ExitCode::SUCCESS),
        _ => bail!("unknown scenario {name}: use qemu-migration"),
    }
}

fn migration() -> Result<()> {
    let mut hosts = Hosts::new()?;
    let logs: Vec<String> = SCENARIOS.into_iter().flat_map(Scenario::logs).collect();
    let arguments: Vec<&str> = logs.iter().flat_map(|log| ["--qemu-log", log]).collect();
    let trace = Trace::start(&arguments)?;
    let outcomes = SCENARIOS
        .into_iter()
        .map(|scenario| scenario.play(&mut hosts))
        .collect::<Result<Vec<_>>>()?;
    hosts.clean()?;
    let traced = trace.end(0)?;
    let mut changes = 0;
    for outcome in &outcomes {
        let lines = traced.lines.within(&outcome.span_ns);
        println!("=== {} ===", outcome.title);
        print!("{}", timeline(outcome, &lines));
        for (finding, text) in lines.findings() {
            println!("  found: {}: {text}", finding.rule().name());
        }
        let moved = lines
            .downtimes()
            .filter(|downtime| downtime.end == End::Moved);
        let (moved, completed) = (moved.count(), outcome.costs.len());
        ensure!(
            moved == completed,
            "{}: {completed} migrations completed, but the trace has {moved} downtimes",
            outcome.title
        );
        let agreement = judge(outcome, &lines).context(outcome.title)?;
        println!(
            "judged: QEMU, the driver and the tracer agree on {} state changes, {} of which failed\n",
            agreement.changes, agreement.failed
        );
        changes += agreement.changes;
    }
    println!("=== costs ===");
    print!("{}", costs(&outcomes.iter().collect::<Vec<_>>()));
    traced.lost_nothing()?;
    println!(
        "\nqemu-migration: {changes} state changes agree, the firmware's register was continuous, {} records seen, none lost",
        traced.summary.delivered
    );
    Ok(())
}
