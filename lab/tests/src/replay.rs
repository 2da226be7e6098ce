//! A recording of a trace, reported: the same output, also of one that grows or was cut off.

use std::fs;

use anyhow::{Context, Result, ensure};
use remap_core::correlate::Options;
use remap_core::pipeline::{Filter, Pipeline};
use remap_core::replay::Recording;
use remap_core::sink::json::Json;
use rustix::process::Signal;

use crate::rig::lab::Lab;
use crate::rig::process::{Output, Running, remap, run};
use crate::rig::trace::same;
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
        Test::new("replay::a_command_is_recorded", ONCE, command),
    ]
}

const RECORDING: &str = "/run/lab-test.perf.data";

/// How often a recording is cut off.
const CUTS: usize = 200;

fn same_output(lab: &mut Lab) -> Result<()> {
    let arguments = ["trace", "--json", "--events", "--record", RECORDING];
    let trace = Running::start_ready(remap(&arguments), Output::Kept)?;
    lab.use_it()?;
    let ended = trace.end(Signal::INT)?;
    let live: Vec<String> = ended.expect(0)?.stdout.lines().map(str::to_owned).collect();
    let reported = run(remap(&["report", RECORDING, "--json", "--events"]))?;
    same(&live, &reported.expect(0)?.stdout)?;
    ensure!(live.len() > 10, "only {} lines", live.len());
    let recording = fs::read(RECORDING)?;
    fs::remove_file(RECORDING)?;
    let events: Vec<&str> = live.iter().map(String::as_str).filter(is_event).collect();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut longest = 0;
    for _ in 0..CUTS {
        let length = rng.usize(..recording.len());
        let (shown, is_cut) =
            cut_off(&recording[..length]).with_context(|| format!("cut at {length}"))?;
        let shown: Vec<&str> = shown.lines().filter(is_event).collect();
        let is_right = match is_cut {
            true => events.starts_with(&shown),
            // Only what follows the data is missing.
            false => events == shown,
        };
        ensure!(is_right, "cut at {length}: {shown:?}");
        longest = longest.max(shown.len());
    }
    ensure!(longest * 2 > events.len(), "{longest} events at most");
    Ok(())
}

/// The line of an event: of these a recording that was cut off has the first ones. What ends with the
/// trace it has at another time.
fn is_event(line: &&str) -> bool {
    line.contains("\"type\":\"event\"")
}

/// What a report shows of a recording that was cut off, and whether it sees that; nothing if it has not
/// even its start.
fn cut_off(bytes: &[u8]) -> Result<(String, bool)> {
    let Ok(recording) = Recording::open(bytes) else {
        return Ok((String::new(), true));
    };
    let options = Options {
        sees_consumers: recording.start.sees_consumers,
        ..Options::default()
    };
    let (names, mut out) = (recording.vm_names(), Vec::new());
    let pipeline = Pipeline::new(options, Filter::default(), names, true, Json::new(&mut out));
    let cut = recording.replay(pipeline)?.cut.map(|place| place.0);
    let is_inside = cut.is_none_or(|place| place <= bytes.len() as u64);
    ensure!(is_inside, "cut off at {cut:?}");
    Ok((String::from_utf8(out)?, cut.is_some()))
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

/// A command runs while it is recorded, and its exit status is that of the recorder.
fn command(lab: &mut Lab) -> Result<()> {
    let bdf = lab.bdf.to_string();
    let record = |command: &[&str]| {
        let record = ["record", "--force", "-o", RECORDING, "--"];
        run(remap(&[&record, command].concat()))
    };
    record(&["remap", "drill", &bdf])?.expect(0)?;
    let report = run(remap(&["report", RECORDING, "--json", "--fail-on-loss"]))?;
    let report = &report.expect(0)?.stdout;
    ensure!(cycles(report) > 0, "no cycle of the drill in {report}");
    record(&["busybox", "sh", "-c", "exit 7"])?.expect(7)?;
    record(&["busybox", "sh", "-c", "kill -TERM $$"])?.expect(128 + 15)?;
    record(&["/nonexistent"])?.fails(1, &["/nonexistent", "ENOENT"])?;
    fs::remove_file(RECORDING)?;
    Ok(())
}
