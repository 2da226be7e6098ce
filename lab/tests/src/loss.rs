//! A tracer that cannot keep up: what it misses is counted, and nothing false is said.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::rig::Lab;
use crate::rig::child::{remap, run};
use crate::rig::trace::Trace;
use crate::{ALL, Test};

pub fn tests() -> Vec<Test> {
    vec![Test::new(
        "loss::a_ring_that_overflows_is_accounted_for",
        ALL,
        overflow,
    )]
}

/// Far more than a ring of 1 MiB holds.
const CYCLES: &str = "150";
/// Once the tracer runs again.
const AFTER: usize = 5;

fn overflow(lab: &mut Lab) -> Result<()> {
    let bdf = lab.bdf.to_string();
    let trace = Trace::start(&["--buffer", "1", "--fail-on-loss"])?;
    trace.process().stop()?;
    run(remap(&["drill", &bdf, "--cycles", CYCLES]))?.expect(0)?;
    trace.process().signal(Signal::CONT)?;
    // The ring is empty again when the tracer has told of something.
    crate::rig::until("the tracer to go on", || {
        Ok((trace.told() > 0).then_some(()))
    })?;
    run(remap(&["drill", &bdf, "--cycles", &AFTER.to_string()]))?.expect(0)?;
    let traced = trace.end(4)?;
    let summary = &traced.summary;
    ensure!(
        summary.lost.get("ring_full").is_some_and(|n| *n > 0),
        "{summary:?}"
    );
    traced.lines.found(&[])?;
    for cycle in traced.lines.cycles() {
        let whole = ["remapped", "unchanged"].contains(&cycle.outcome.as_str());
        let excused =
            cycle.outcome == "incomplete" && cycle.reason.as_deref() == Some("records lost");
        ensure!(whole || excused, "{cycle:?}");
    }
    let lossy = traced
        .lines
        .cycles()
        .filter(|cycle| cycle.outcome == "incomplete");
    ensure!(lossy.count() > 0, "no cycle was touched by the loss");
    let mut last: Vec<_> = traced.lines.cycles().collect();
    last.sort_by_key(|cycle| cycle.trigger_ns);
    let last = last.iter().rev().take(AFTER * 6);
    for cycle in last {
        ensure!(
            cycle.missing.is_empty() && cycle.outcome != "incomplete",
            "after it: {cycle:?}"
        );
    }
    Ok(())
}
