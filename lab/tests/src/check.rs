//! `remap check`: every duty is exercised by a drill, and what is live is judged as a recording is.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use remap_core::check::{CheckLine, Duty, Judgement};
use rustix::process::Signal;

use crate::rig::driver::{MANY_REGIONS, TRAPPED_OF_MANY};
use crate::rig::lab::Lab;
use crate::rig::process::{Output, Running, remap, run};
use crate::rig::trace::preempted;
use crate::{EACH, ONCE, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("check::a_drill_exercises_every_duty", EACH, drill),
        Test::new("check::what_happens_is_judged", ONCE, live),
        Test::new("check::a_recording_is_judged", ONCE, recording),
    ]
}

const RECORDING: &str = "/run/lab-test.check.perf.data";
const JUNIT: &str = "/run/lab-test.junit.xml";

/// The judgement of each duty, from the lines of `--json`; the last one has the totals.
fn judgements(json: &str) -> Result<BTreeMap<Duty, Judgement>> {
    let lines = json.lines().map(serde_json::from_str);
    let lines = lines.collect::<Result<Vec<CheckLine>, _>>()?;
    let totals = matches!(lines.last(), Some(CheckLine::Checked(_)));
    ensure!(totals, "no totals: {json}");
    let duty = |line: &CheckLine| match line {
        CheckLine::Duty(line) => Some((line.duty, line.judgement)),
        CheckLine::Checked(_) => None,
    };
    let all: BTreeMap<_, _> = lines.iter().filter_map(duty).collect();
    ensure!(all.len() == Duty::ALL.len(), "{} duties", all.len());
    Ok(all)
}

fn drill(lab: &mut Lab) -> Result<()> {
    lab.driver.reload(MANY_REGIONS)?;
    lab.driver
        .parameter("whole", &format!("{TRAPPED_OF_MANY:#x}"))?;
    let bdf = lab.bdf.to_string();
    let mut command = remap(&["check", "--drill", &bdf, "--json", "--junit", JUNIT]);
    command.args(preempted()?.then_some("--kprobes"));
    let ended = run(command)?;
    let json = &ended.expect(0)?.stdout;
    for (duty, judgement) in judgements(json)? {
        let passed = judgement == Judgement::Pass;
        ensure!(passed, "{}: {}: {json}", duty.name(), judgement.name());
    }
    let junit = fs::read_to_string(JUNIT).context("the JUnit report")?;
    fs::remove_file(JUNIT)?;
    let (cases, skipped) = (junit.matches("<testcase"), junit.matches("<skipped"));
    ensure!(
        cases.count() == Duty::ALL.len() && skipped.count() == 0,
        "{junit}"
    );
    Ok(())
}

fn live(lab: &mut Lab) -> Result<()> {
    let mut command = remap(&["check", "--live", "--json"]);
    command.args(preempted()?.then_some("--kprobes"));
    let check = Running::start_ready(command, Output::Kept)?;
    lab.driver.fault("resize")?;
    let drilled = lab.drill(&[])?;
    drilled.expect(1)?;
    let ended = check.end(Signal::INT)?;
    ended.fails(1, &["1 duties were broken: region-keeps-size"])?;
    let judgements = judgements(&ended.stdout)?;
    let met = |duty| judgements.get(&duty).copied();
    ensure!(
        met(Duty::RegionKeepsSize) == Some(Judgement::Fail),
        "{ended:?}"
    );
    ensure!(
        met(Duty::QueriesAgain) == Some(Judgement::Pass),
        "{ended:?}"
    );
    let unused = met(Duty::UserGoneEndsTheWait);
    ensure!(unused == Some(Judgement::NotExercised), "{ended:?}");
    run(remap(&["check"]))?.expect(2).map(drop)
}

/// A recording of a drill; and its first half, which leaves open what followed.
fn recording(lab: &mut Lab) -> Result<()> {
    let bdf = lab.bdf.to_string();
    let mut command = remap(&["record", "-o", RECORDING]);
    command.args(preempted()?.then_some("--kprobes"));
    command.args(["--", "remap", "drill", &bdf]);
    run(command)?.expect(0)?;
    let checked = run(remap(&["check", RECORDING]))?;
    let text = &checked.expect(0)?.stdout;
    ensure!(text.contains("pass           acks-every-trigger"), "{text}");
    let bytes = fs::read(RECORDING)?;
    fs::write(RECORDING, &bytes[..bytes.len() / 2])?;
    let checked = run(remap(&["check", RECORDING]))?;
    let text = &checked.expect(0)?.stdout;
    ensure!(text.contains("the recording was cut off at byte"), "{text}");
    Ok(fs::remove_file(RECORDING)?)
}
