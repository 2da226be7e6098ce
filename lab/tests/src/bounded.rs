//! Bounded time and memory, whatever the devices, the reader of the output and the paths do: and a
//! signal always ends a command.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::rig::driver::busybox;
use crate::rig::flood::{Flood, Then};
use crate::rig::lab::Lab;
use crate::rig::line::Line;
use crate::rig::process::{
    Ended, Output, Running, as_unprivileged, in_shell, remap, resident, run,
};
use crate::{ONCE, Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("bounded::a_flood_without_a_reader", VECTORS, flood),
        Test::new(
            "bounded::a_flood_ends_after_its_duration",
            VECTORS,
            duration,
        ),
        Test::new("bounded::the_second_signal_needs_no_reactor", ONCE, second),
        Test::new("bounded::a_drill_without_a_reader", ONCE, unread_drill),
        Test::new("bounded::a_full_disk_is_named", ONCE, full),
        Test::new("bounded::a_log_is_a_regular_file", ONCE, |_| logs()),
        Test::new("bounded::a_ready_file_does_not_block", ONCE, ready),
        Test::new("bounded::a_limit_is_named", ONCE, limits),
    ]
}

/// The budget of a trace without its ring, and the ring, KiB.
const BUDGET: u64 = 64 << 10;
const RING: u64 = 8 << 10;
/// Far more than the queues of a trace hold.
const SIGNALS: u64 = 100_000;

/// The three sums of the account in an error line: seen, delivered, lost.
fn account(text: &str) -> Result<[u64; 3]> {
    let after = |word: &str| -> Result<u64> {
        let (_, rest) = text
            .split_once(word)
            .with_context(|| format!("no {word:?} in {text}"))?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits
            .parse()
            .with_context(|| format!("no number after {word:?} in {text}"))
    };
    Ok([after("seen ")?, after("delivered ")?, after("+ lost ")?])
}

/// More signals than the trace can pass on, every event is written, and the reader has stopped.
fn flood(lab: &mut Lab) -> Result<()> {
    let command = remap(&["trace", "--json", "--events", "--class", "irq"]);
    let trace = Running::start_ready(command, Output::Unread)?;
    let attached = resident(trace.pid())?;
    let device = lab.open()?;
    let flood = Flood::start(&device, Then::Read)?;
    flood.wait(SIGNALS)?;
    let used = resident(trace.pid())?;
    // The flood goes on: the end needs no quiet moment.
    let ended = trace.end(Signal::INT)?;
    flood.end()?;
    eprintln!(
        "bounded: {attached} KiB attached, {used} KiB under load; {}",
        ended.stderr
    );
    ensure!(
        used <= attached + BUDGET + RING,
        "{used} KiB, {attached} KiB before"
    );
    ended.fails(4, &["were not written", "did not read"])?;
    let [seen, delivered, lost] = account(&ended.stderr)?;
    ensure!(
        seen >= SIGNALS && seen == delivered + lost,
        "{}",
        ended.stderr
    );
    Ok(())
}

/// The same for a trace that ends by itself, and whose reader reads.
fn duration(lab: &mut Lab) -> Result<()> {
    let device = lab.open()?;
    let flood = Flood::start(&device, Then::Read)?;
    let ended = run(remap(&["trace", "--json", "--duration", "1"]));
    flood.end()?;
    let ended = ended?;
    let last = ended.expect(0)?.stdout.lines().last().context("no line")?;
    let Line::Summary { summary, .. } = serde_json::from_str(last)? else {
        anyhow::bail!("the last line is no summary: {last}");
    };
    ensure!(
        summary.exact() == Some(true) && summary.delivered > 0,
        "{summary:?}"
    );
    Ok(())
}

/// Two signals arrive before the process runs again: its handler ends it, not its reactor.
fn second(_: &mut Lab) -> Result<()> {
    let trace = Running::start_ready(remap(&["trace"]), Output::Kept)?;
    trace.stop()?;
    trace.signal(Signal::INT)?;
    trace.signal(Signal::TERM)?;
    let ended = trace.end(Signal::CONT)?;
    // The handler of the signal that is delivered last runs first, so the other one is the second.
    ended.expect(128 + Signal::INT.as_raw())?;
    ensure!(ended.stdout.is_empty(), "{}", ended.stdout);
    Ok(())
}

/// More cycles than a pipe holds lines about.
const CYCLES: &str = "40";

/// Every trigger is answered although no line is read.
fn unread_drill(lab: &mut Lab) -> Result<()> {
    let bdf = lab.bdf.to_string();
    let command = remap(&["drill", &bdf, "--verbose", "--json", "--cycles", CYCLES]);
    let ended = Running::start(command, Output::Unread)?.wait()?;
    ended.fails(4, &["were not written"])
}

/// Runs a command of the shell.
fn shell(command: &str) -> Result<Ended> {
    run(in_shell(command))
}

fn full(lab: &mut Lab) -> Result<()> {
    let drill = format!("drill {} --verbose --cycles {CYCLES}", lab.bdf);
    for command in [
        drill.as_str(),
        "trace --duration 0",
        "trace --json --duration 0",
    ] {
        shell(&format!("exec remap {command} >/dev/full"))?.fails(1, &["stdout", "ENOSPC"])?;
    }
    // One block, which the drill's output does not fit into.
    let file = "/run/lab-test-limited";
    shell(&format!("ulimit -f 1; exec remap {drill} >{file}"))?
        .fails(1, &["EFBIG", "ulimit -f"])?;
    // An error line that cannot be written is no panic.
    shell("exec remap serve nonsense 2>/dev/full")?.expect(2)?;
    Ok(())
}

/// Opens nothing that could block, and says what it found.
fn logs() -> Result<()> {
    let fifo = "/run/lab-test-fifo";
    busybox(&["mkfifo", fifo])?;
    for (path, name) in [
        (fifo, "a FIFO"),
        ("/dev/zero", "a character device"),
        ("/dev/console", "a character device"),
        ("/run", "a directory"),
    ] {
        let ended = run(remap(&["trace", "--qemu-log", path, "--duration", "0"]))?;
        ended.fails(1, &[path, name, "-D FILE"])?;
    }
    // One that appears later.
    let later = "/run/lab-test-later";
    let command = remap(&["trace", "--qemu-log", later]);
    let trace = Running::start_ready(command, Output::Kept)?;
    fs::rename(fifo, later)?;
    let ended = trace.wait();
    fs::remove_file(later)?;
    ended?.fails(1, &[later, "a FIFO"])
}

fn ready(lab: &mut Lab) -> Result<()> {
    let fifo = "/run/lab-test-ready";
    busybox(&["mkfifo", fifo])?;
    let bdf = lab.bdf.to_string();
    for command in [&["trace"][..], &["serve", &bdf], &["drill", &bdf]] {
        let ended = run(remap(&[command, &["--ready-file", fifo]].concat()));
        ended.and_then(|ended| ended.fails(1, &[fifo, "ENXIO"]))?;
    }
    Ok(fs::remove_file(Path::new(fifo))?)
}

/// Each limit, too low: one clear line. As low as the commands ask for: they run.
fn limits(lab: &mut Lab) -> Result<()> {
    let drill = format!("drill {}", lab.bdf);
    for files in [3, 4, 6, 8, 12, 20, 40] {
        for command in ["trace --duration 0", &drill] {
            let ended = shell(&format!("ulimit -n {files}; exec remap {command}"))?;
            ended.fails(3, &["RLIMIT_NOFILE", &files.to_string(), "ulimit -n"])?;
        }
    }
    for (option, name) in [("-v", "RLIMIT_AS"), ("-d", "RLIMIT_DATA")] {
        let ended = shell(&format!(
            "ulimit {option} 60000; exec remap trace --duration 0"
        ))?;
        ended.fails(3, &[name, option])?;
        for command in ["trace --duration 0", &drill] {
            shell(&format!("ulimit {option} 524288; exec remap {command}"))?.expect(0)?;
        }
    }
    for command in ["trace --duration 0", &drill] {
        shell(&format!("ulimit -n 512; ulimit -l 0; exec remap {command}"))?.expect(0)?;
    }
    shell(&format!(
        "ulimit -n 64; ulimit -v 65536; exec remap {drill}"
    ))?
    .expect(0)?;
    let mut limited = as_unprivileged(in_shell("ulimit -u 1; exec remap trace --duration 0"));
    limited.stdin(Stdio::null());
    run(limited)?.fails(1, &["EAGAIN", "ulimit -u"])
}
