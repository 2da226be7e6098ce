//! A tracer that cannot keep up: what it misses is counted, and nothing false is said.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use remap_core::event::DeviceState;
use remap_user::live::process::{Activity, activity};

use crate::rig::child::{remap, run};
use crate::rig::trace::Trace;
use crate::rig::{Lab, until};
use crate::user::User;
use crate::{ALL, Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "loss::a_ring_that_overflows_is_accounted_for",
            ALL,
            overflow,
        ),
        Test::new(
            "loss::more_callers_than_a_hook_has_room_for",
            VECTORS,
            crowd,
        ),
    ]
}

/// More threads than a kretprobe has room for: 10, on a machine of up to five processors
/// (kernel/kprobes.c, `register_kretprobe`).
const CROWD: usize = 16;
/// ioctl(2).
const IOCTL: i64 = 16;

/// Many threads are in the same call at once, so that the kernel has no room to see some of them
/// return: that is counted, by name where the kernel says whose it is.
fn crowd(lab: &mut Lab) -> Result<()> {
    let mut user = User::new(lab)?;
    user.map()?;
    let trace = Trace::start(&["--fail-on-loss"])?;
    let changes: Vec<_> = (0..CROWD)
        .map(|_| user.change(DeviceState::StopCopy))
        .collect();
    lab.driver.wait_for_wait()?;
    // The first waits for its user, and the others for the first.
    let pid = std::process::id();
    until("all threads to be in a call", || {
        let mut inside = 0;
        for task in std::fs::read_dir("/proc/self/task")? {
            let tid = task?.file_name().to_string_lossy().parse()?;
            let syscall =
                |activity| matches!(activity, Activity::Syscall(call) if call.number == IOCTL);
            inside += usize::from(syscall(activity(pid, tid)));
        }
        Ok((inside >= CROWD).then_some(()))
    })?;
    user.settle(lab)?;
    for change in changes {
        ensure!(matches!(change.join(), Ok(Ok(()))), "a state change failed");
    }
    user.back(lab)?;
    drop(user);
    let traced = trace.end(4)?;
    let summary = &traced.summary;
    let missed = |reason: &str| summary.lost.get(reason).copied().unwrap_or(0);
    // Before 6.7 the kernel does not tell of it; then the calls themselves do.
    let told = missed("probe_missed") + missed("return_missed");
    ensure!(told > 0, "{summary:?}");
    if missed("probe_missed") > 0 {
        let named = |miss: &serde_json::Value| miss["program"] == "vfio_ioctl_kretprobe";
        ensure!(summary.missed.iter().any(named), "{summary:?}");
    }
    traced.lines.found(&[])
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
    until("the tracer to go on", || {
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
