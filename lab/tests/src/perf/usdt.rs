//! The probes of the binary: bpftrace and perf report the cycles that the trace reports.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use remap_core::model::Cycle;
use rustix::process::Signal;

use super::pin::Tests;
use crate::rig::lab::Lab;
use crate::rig::line::trigger_ns;
use crate::rig::process::{Collected, Output, Running, in_shell, remap, run};
use crate::rig::trace::Trace;
use crate::rig::until;

pub const TESTS: Tests = &[
    ("perf::bpftrace_attaches_to_a_trace", by_bpftrace),
    ("perf::perf_records_the_probes_of_a_trace", by_perf),
    ("perf::doctor_says_whether_there_are_user_events", doctor),
];

/// The binary.
const REMAP: &str = "/bin/remap";

/// What a reader has got of a cycle: region, trigger, total time, ns.
type Seen = (u64, u64, u64);

fn of(cycle: &Cycle) -> Result<Seen> {
    let total = cycle.stages.total().context("a cycle without an end")?;
    let trigger = trigger_ns(cycle).context("a cycle without a trigger")?;
    Ok((cycle.region.into(), trigger, total))
}

/// Ends the trace: a reader has got the last cycles, and no others.
fn agree(trace: Trace, read: impl FnOnce(usize) -> Result<Vec<Seen>>) -> Result<()> {
    let traced = trace.end(0)?;
    traced.found(&[])?;
    let reported: Vec<Seen> = traced.lines.cycles().map(of).collect::<Result<_>>()?;
    let read = read(reported.len())?;
    ensure!(
        !read.is_empty() && reported.ends_with(&read),
        "read {read:?}, and the trace reported {reported:?}"
    );
    Ok(())
}

/// It prints nothing when it has attached: the device is used until it prints a cycle.
fn by_bpftrace(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&[])?;
    let lines = Collected::default();
    let mut bpftrace = Command::new("bpftrace");
    bpftrace.args(["-p", &trace.process().pid().to_string(), "-e"]);
    bpftrace.arg(format!(
        "usdt:{REMAP}:remap:cycle {{ printf(\"cycle %s %d %lu %lu\\n\", str(arg0), arg1, arg3, arg4); }}"
    ));
    let mut bpftrace = Running::start(bpftrace, Output::Collected(lines.clone()))?;
    let device = format!("cycle {} ", lab.bdf);
    until("bpftrace to print a cycle", || {
        bpftrace.is_alive()?;
        lab.use_it()?;
        Ok((lines.count(&device) > 0).then_some(()))
    })?;
    // From here on it gets every one.
    lab.use_it()?;
    agree(trace, |_| {
        bpftrace.end(Signal::INT)?.expect(0)?;
        let lines = lines.take();
        let cycles = lines.iter().filter_map(|line| line.strip_prefix(&device));
        cycles.map(numbers).collect()
    })
}

fn numbers(line: &str) -> Result<Seen> {
    let numbers: Vec<u64> = line
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("bpftrace printed {line}"))?;
    let [region, trigger, total] = numbers[..] else {
        anyhow::bail!("bpftrace printed {line}");
    };
    Ok((region, trigger, total))
}

/// `perf` with these words.
fn perf(words: &[&str]) -> Command {
    let mut perf = Command::new("perf");
    perf.args(words).env("HOME", "/run").env("PAGER", "cat");
    perf
}

/// Where perf is asked, and answers.
const CONTROL: [&str; 2] = ["/run/perf.control", "/run/perf.answer"];
const DATA: &str = "/run/perf.data";

fn by_perf(lab: &mut Lab) -> Result<()> {
    run(perf(&["buildid-cache", "--add", REMAP]))?.expect(0)?;
    run(perf(&["probe", "--quiet", "--add", "sdt_remap:cycle"]))?.expect(0)?;
    for path in CONTROL {
        run(in_shell(&format!("mkfifo {path}")))?.expect(0)?;
    }
    let trace = Trace::start(&[])?;
    let control = format!("--control=fifo:{},{}", CONTROL[0], CONTROL[1]);
    let recorder = perf(&[
        "record",
        "-e",
        "sdt_remap:cycle",
        "-a",
        "-o",
        DATA,
        &control,
    ]);
    let mut recorder = Running::start(recorder, Output::Kept)?;
    let pipe = |path| {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true);
        options.custom_flags(libc::O_NONBLOCK).open(path)
    };
    let (mut asked, mut answered) = (pipe(CONTROL[0])?, pipe(CONTROL[1])?);
    asked.write_all(b"ping\n")?;
    until("perf to record", || {
        recorder.is_alive()?;
        let mut answer = [0; 16];
        let length = answered.read(&mut answer).unwrap_or(0);
        Ok(answer[..length].starts_with(b"ack").then_some(()))
    })?;
    lab.use_it()?;
    agree(trace, |count| {
        recorder.end(Signal::INT)?;
        let script = run(perf(&["script", "-i", DATA]))?;
        let lines = script.expect(0)?.stdout.lines();
        let cycles: Vec<Seen> = lines.map(arguments).collect::<Result<_>>()?;
        ensure!(
            cycles.len() == count,
            "{count} cycles, and perf has {cycles:?}"
        );
        Ok(cycles)
    })?;
    run(perf(&["probe", "--quiet", "--del", "sdt_remap:*"]))?.expect(0)?;
    for path in CONTROL.iter().chain([&DATA]) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Debian's kernels have none.
fn doctor(_: &mut Lab) -> Result<()> {
    let available = fs::exists("/sys/kernel/tracing/user_events_data")?;
    let checked = run(remap(&["doctor", "--json"]))?;
    let lines = checked.expect(0)?.stdout.lines();
    let mut lines = lines.filter(|line| line.contains("\"tracepoints\""));
    let line = lines.next().context("no check of tracepoints")?;
    let word = if available { "ok" } else { "absent" };
    ensure!(line.contains(&format!("\"{word}\"")), "{line}");
    ensure!(available || line.contains("CONFIG_USER_EVENTS"), "{line}");
    Ok(())
}

/// The arguments of a probe, as perf numbers them.
fn arguments(line: &str) -> Result<Seen> {
    ensure!(line.contains("sdt_remap:cycle:"), "perf printed {line}");
    let argument = |number: usize| {
        let name = format!("arg{number}=");
        let mut words = line.split_whitespace();
        let value = words.find_map(|word| word.strip_prefix(&name));
        let value = value.with_context(|| format!("no {name} in {line}"))?;
        value.parse().with_context(|| format!("{name}{value}"))
    };
    Ok((argument(2)?, argument(4)?, argument(5)?))
}
