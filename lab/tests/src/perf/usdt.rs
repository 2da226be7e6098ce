//! The probes of the binary: bpftrace and perf report the cycles that the trace reports.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use remap_core::model::Cycle;
use rustix::process::Signal;

use super::pin::{PIN, Tests, mounted};
use crate::rig::lab::Lab;
use crate::rig::line::trigger_ns;
use crate::rig::process::{Collected, Output, Running, in_shell, remap, run};
use crate::rig::trace::Trace;
use crate::rig::until;

pub const TESTS: Tests = &[
    ("perf::bpftrace_and_perf_attach_to_a_trace", attached),
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

/// That a reader has got the last cycles, and no others.
fn agree(reader: &str, read: &[Seen], reported: &[Seen]) -> Result<()> {
    ensure!(
        !read.is_empty() && reported.ends_with(read),
        "{reader} has {read:?}, and the trace reported {reported:?}"
    );
    Ok(())
}

/// Both at the same time. bpftrace prints nothing when it has attached: the device is used until it prints a
/// cycle.
fn attached(lab: &mut Lab) -> Result<()> {
    mounted()?;
    // Without a reader of its array nothing is lost.
    let trace = Trace::start(&["--perf-events", PIN])?;
    let recorder = recording()?;
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
    let traced = trace.end(0)?;
    traced.found(&[])?;
    let reported: Vec<Seen> = traced.lines.cycles().map(of).collect::<Result<_>>()?;
    bpftrace.end(Signal::INT)?.expect(0)?;
    let lines = lines.take();
    let printed = lines.iter().filter_map(|line| line.strip_prefix(&device));
    let printed: Vec<Seen> = printed.map(numbers).collect::<Result<_>>()?;
    agree("bpftrace", &printed, &reported)?;
    recorder.end(Signal::INT)?;
    let recorded = recorded()?;
    ensure!(
        recorded.len() == reported.len(),
        "perf has {recorded:?}, and the trace reported {reported:?}"
    );
    agree("perf", &recorded, &reported)
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

/// A `perf record` of the cycles, once it records.
fn recording() -> Result<Running> {
    run(perf(&["buildid-cache", "--add", REMAP]))?.expect(0)?;
    run(perf(&["probe", "--quiet", "--add", "sdt_remap:cycle"]))?.expect(0)?;
    for path in CONTROL {
        run(in_shell(&format!("mkfifo {path}")))?.expect(0)?;
    }
    let control = format!("--control=fifo:{},{}", CONTROL[0], CONTROL[1]);
    let event = ["record", "-e", "sdt_remap:cycle", "-a", "-o", DATA];
    let words: Vec<&str> = event.into_iter().chain([control.as_str()]).collect();
    let mut recorder = Running::start(perf(&words), Output::Kept)?;
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
    Ok(recorder)
}

/// What it has recorded. Removes it, and the probe.
fn recorded() -> Result<Vec<Seen>> {
    let script = run(perf(&["script", "-i", DATA]))?;
    let cycles = script.expect(0)?.stdout.lines().map(arguments);
    let cycles = cycles.collect::<Result<_>>()?;
    run(perf(&["probe", "--quiet", "--del", "sdt_remap:*"]))?.expect(0)?;
    for path in CONTROL.iter().chain([&DATA]) {
        fs::remove_file(path)?;
    }
    Ok(cycles)
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
