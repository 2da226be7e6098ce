//! A tracer that loses records: each loss is counted, and no finding follows from one.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use remap_core::event::DeviceState;
use remap_core::model::Cycle;
use remap_user::live::process::{Activity, activity};

use crate::rig::judge::driver;
use crate::rig::lab::Lab;
use crate::rig::line::{Lines, is_complete, is_lossy, trigger_ns};
use crate::rig::trace::Trace;
use crate::rig::user::User;
use crate::rig::{now, until};
use crate::{ALL, Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "loss::a_ring_that_overflows_is_accounted_for",
            ALL,
            overflow,
        ),
        Test::new(
            "loss::more_callers_than_a_kretprobe_has_instances",
            VECTORS,
            crowd,
        ),
    ]
}

/// More threads than a kretprobe has instances: 10, on a machine of up to five processors
/// (kernel/kprobes.c, `register_kretprobe`).
const CROWD: usize = 16;
/// ioctl(2).
const IOCTL: i64 = 16;

/// More threads are in the same call at once than the kretprobe has instances, so that some returns
/// are missed. They are counted, by program where the kernel counts them by program.
fn crowd(lab: &mut Lab) -> Result<()> {
    let mut user = User::new(lab)?;
    user.map()?;
    let trace = Trace::start(&["--fail-on-loss"])?;
    let changes: Vec<_> = (0..CROWD)
        .map(|_| user.change(DeviceState::StopCopy))
        .collect();
    lab.driver.wait_for_wait()?;
    // The first waits for its acks, the others for the first.
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
    // Before 6.7 the kernel does not count them; then the calls without a return do.
    let returns = missed("probe_missed") + missed("return_missed");
    ensure!(returns > 0, "{summary:?}");
    if missed("probe_missed") > 0 {
        let mut missed = summary.missed.iter();
        let named = missed.any(|miss| miss.program == "vfio_ioctl_kretprobe");
        ensure!(named, "{summary:?}");
    }
    traced.lines.found(&[])
}

/// Far more than a ring of 1 MiB holds.
const CYCLES: &str = "150";
/// Once the tracer runs again.
const AFTER: usize = 5;
/// The regions that a drill has remapped in one cycle.
const REGIONS: usize = 6;

fn overflow(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--buffer", "1", "--fail-on-loss"])?;
    lab.driver.clear_log()?;
    trace.process().stop()?;
    lab.drill(&["--cycles", CYCLES])?.expect(0)?;
    let from_ns = now()?;
    trace.process().signal(Signal::CONT)?;
    // The tracer has emptied the ring and counted its losses when it reports a cycle of now as complete.
    let mut lines = Lines::default();
    until("the tracer to catch up", || {
        lab.drill(&[])?.expect(0)?;
        lines.0.extend(trace.take()?.0);
        let is_new = |cycle: &Cycle| trigger_ns(cycle) > Some(from_ns) && is_complete(cycle);
        Ok(lines.cycles().any(is_new).then_some(()))
    })?;
    lab.drill(&["--cycles", &AFTER.to_string()])?.expect(0)?;
    let traced = trace.end(4)?;
    lines.0.extend(traced.lines.0);
    let summary = &traced.summary;
    ensure!(
        summary.lost.get("ring_full").is_some_and(|n| *n > 0),
        "{summary:?}"
    );
    driver::agree_in_part(&lines, &lab.driver.log()?)?;
    let lossy = lines.cycles().filter(|cycle| is_lossy(cycle));
    ensure!(lossy.count() > 0, "no cycle was touched by the loss");
    let mut last: Vec<_> = lines.cycles().collect();
    last.sort_by_key(|cycle| trigger_ns(cycle));
    let last = last.iter().rev().take(AFTER * REGIONS);
    ensure!(last.len() == AFTER * REGIONS, "too few cycles after it");
    for cycle in last {
        ensure!(is_complete(cycle), "after it: {cycle:?}");
    }
    Ok(())
}
