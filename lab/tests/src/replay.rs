//! A recording of a trace, replayed: the same output.

use std::fs;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::rig::lab::Lab;
use crate::rig::process::{Output, Running, remap, run};
use crate::{ALL, Test};

pub fn tests() -> Vec<Test> {
    vec![Test::new(
        "replay::a_recording_gives_the_same_output",
        ALL,
        same_output,
    )]
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
