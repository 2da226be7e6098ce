//! A recording of a trace, reported: the same output, also of one that grows or was cut off.

use std::fs;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::rig::lab::Lab;
use crate::rig::process::{Output, Running, remap, run};
use crate::rig::until;
use crate::{ALL, ONCE, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "replay::a_recording_gives_the_same_output",
            ALL,
            same_output,
        ),
        Test::new("replay::a_recording_is_read_while_it_grows", ONCE, growing),
    ]
}

const RECORDING: &str = "/run/lab-test.perf.data";

fn same_output(lab: &mut Lab) -> Result<()> {
    let arguments = ["trace", "--json", "--events", "--record", RECORDING];
    let trace = Running::start_ready(remap(&arguments), Output::Kept)?;
    lab.use_it()?;
    let ended = trace.end(Signal::INT)?;
    let live = &ended.expect(0)?.stdout;
    let reported = run(remap(&["report", RECORDING, "--json", "--events"]))?;
    let replayed = &reported.expect(0)?.stdout;
    fs::remove_file(RECORDING)?;
    for (number, (was, is)) in live.lines().zip(replayed.lines()).enumerate() {
        ensure!(was == is, "line {number} was {was} and is {is}");
    }
    let (was, is) = (live.lines().count(), replayed.lines().count());
    ensure!(was == is && was > 10, "{was} lines, and {is} of the replay");
    Ok(())
}

/// The lines about cycles in a report.
fn cycles(report: &str) -> usize {
    let is_cycle = |line: &&str| line.contains("\"type\":\"cycle\"");
    report.lines().filter(is_cycle).count()
}

/// The recorder is killed: what it has recorded is there, and a report says where it ends.
fn growing(lab: &mut Lab) -> Result<()> {
    let report = || run(remap(&["report", RECORDING, "--json"]));
    let recorder = Running::start_ready(remap(&["record", "-o", RECORDING]), Output::Kept)?;
    run(remap(&["record", "-o", RECORDING]))?.fails(1, &["it exists", "--force"])?;
    lab.use_it()?;
    until("the cycles to be recorded", || {
        let reported = report()?;
        let seen = cycles(&reported.expect(0)?.stdout);
        Ok((seen > 0).then_some(()))
    })?;
    recorder.signal(Signal::KILL)?;
    let killed = recorder.wait()?;
    ensure!(killed.status.code().is_none(), "{killed:?}");
    let cut = report()?;
    ensure!(
        cycles(&cut.expect(0)?.stdout) > 0 && cut.stderr.contains("was cut off at byte"),
        "{}",
        cut.stderr
    );
    let strict = ["report", RECORDING, "--json", "--fail-on-loss"];
    run(remap(&strict))?.fails(4, &["was cut off at byte"])?;
    let again = remap(&["record", "-o", RECORDING, "--force", "--duration", "0.1"]);
    run(again)?.expect(0)?;
    let whole = report()?;
    ensure!(whole.expect(0)?.stderr.is_empty(), "{}", whole.stderr);
    fs::remove_file(RECORDING)?;
    Ok(())
}
