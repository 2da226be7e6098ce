//! A PREEMPT_RT kernel: a program may lose its processor, and devices' interrupts are handled by threads.
//!
//! One trace has to show everything: to detach, the kernel waits for each kprobe in turn (a grace period of
//! `synchronize_rcu_tasks_trace`), which takes half a minute there.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use remap_core::event::{DeviceState, Origin};

use crate::busy::Noise;
use crate::rig::driver::Driver;
use crate::rig::judge::driver;
use crate::rig::judge::ledger::Ledger;
use crate::rig::lab::Lab;
use crate::rig::line::{Lines, is_complete};
use crate::rig::log::Log;
use crate::rig::process::{remap, run};
use crate::rig::stock::balanced;
use crate::rig::trace::{Trace, Traced, is_realtime};
use crate::rig::user::User;
use crate::rig::vmm::{edu, with};
use crate::rig::{devices, now};
use crate::{RT, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("rt::doctor_names_it", RT, doctor),
        Test::new("rt::attach_drill_interrupts_account", RT, trace),
    ]
}

fn doctor(_: &mut Lab) -> Result<()> {
    ensure!(is_realtime(), "this is no PREEMPT_RT kernel");
    let doctor = run(remap(&["doctor", "--all"]))?;
    let text = &doctor.expect(0)?.stdout;
    ensure!(!text.contains("limited"), "{text}");
    ensure!(text.contains("PREEMPT_RT"), "{text}");
    Ok(())
}

/// Does something, and gives when it was.
fn during<T>(act: impl FnOnce() -> Result<T>) -> Result<(T, RangeInclusive<u64>)> {
    let begin_ns = now()?;
    let done = act()?;
    Ok((done, begin_ns..=now()?))
}

fn trace(lab: &mut Lab) -> Result<()> {
    let edu = devices()?.pop().context("no device")?;
    Driver::new(edu, lab.group).bind("vfio-pci")?;
    // With the hooks that a trace has unless it is asked for others: these may be preempted.
    let trace = attach_in_a_wait(lab)?;
    let ((signals, log), drilled) = during(|| drill(lab))?;
    let ledger = Ledger::default();
    let ((), raised) = during(|| {
        with(&ledger, edu, |_, edu| {
            edu::intx(edu)?;
            edu::msi(edu)
        })
    })?;
    // It has checked that the account is exact.
    let Traced { lines, summary } = trace.end(0)?;
    ensure!(signals > 0, "no foreign eventfd was signalled");
    lines.found(&[])?;
    was_found(&lines).context("attach")?;
    let missing = summary.lost_total() + summary.skipped;
    let numbers = format!("lost {:?}, skipped {:?}", summary.lost, summary.missed);
    cycles(&lines.within(&drilled), &log, missing).with_context(|| numbers.clone())?;
    if missing == 0 {
        ledger.agree(&lines.within(&raised)).context("interrupts")?;
        let vectors = balanced(&summary)?;
        ensure!(vectors > 2, "{vectors} vectors");
    }
    Ok(())
}

/// Starts a tracer while a state change waits for its acks, and ends that.
fn attach_in_a_wait(lab: &Lab) -> Result<Trace> {
    let mut user = User::new(lab)?;
    user.map()?;
    let change = user.change(DeviceState::StopCopy);
    lab.driver.wait_for_wait()?;
    let trace = Trace::start_lossy(&["--events"])?;
    user.settle(lab)?;
    let changed = change.join();
    ensure!(matches!(changed, Ok(Ok(()))), "{changed:?}");
    user.back(lab)?;
    drop(user);
    lab.driver.closed()?;
    Ok(trace)
}

/// That the call was found in which the thread waited, and the eventfds that were set before.
fn was_found(lines: &Lines) -> Result<()> {
    let inside = |origin| origin == Origin::SignalledInside;
    let inferred = lines.inferred().any(|from| inside(from.origin));
    let call = lines
        .in_flight_calls()
        .next()
        .context("no call in flight")?;
    ensure!(call.what() == "the change to STOP_COPY", "{call:#?}");
    ensure!(inferred, "no eventfd was inferred");
    Ok(())
}

/// Cycles of a drill, and the regions that each has remapped.
const CYCLES: u64 = 50;
const REGIONS: u64 = 6;

/// A drill beside foreign signals. Gives their number, and the driver's log.
fn drill(lab: &Lab) -> Result<(u64, Log)> {
    lab.driver.clear_log()?;
    let noise = Noise::start()?;
    lab.drill(&["--cycles", &CYCLES.to_string()])?.expect(0)?;
    Ok((noise.count()?, lab.driver.log()?))
}

/// Every cycle is complete and agrees with the driver, or what is missing accounts for it.
fn cycles(lines: &Lines, log: &Log, missing: u64) -> Result<()> {
    if missing == 0 {
        return driver::agree(lines, log);
    }
    driver::agree_in_part(lines, log)?;
    // A record touches at most the regions of one trigger.
    let complete = lines.cycles().filter(|cycle| is_complete(cycle)).count() as u64;
    let most = CYCLES * REGIONS;
    ensure!(
        complete <= most && complete + missing * REGIONS >= most,
        "{complete} of {most} cycles are complete, {missing} records are missing"
    );
    Ok(())
}
