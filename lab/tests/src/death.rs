//! `remap serve` and other users that end, also during a state change: the driver stops waiting at
//! once, and the device can be opened again.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use remap_core::event::{DeviceState, Errno};
use remap_core::model::Outcome;
use remap_user::vfio::device::Device;
use remap_user::vfio::error::Error;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::Signal;

use crate::rig::lab::Lab;
use crate::rig::log::Kind;
use crate::rig::now;
use crate::rig::peer;
use crate::rig::process::{Ended, Running};
use crate::{ALL, Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("death::sigkill_of_serve_before_it_reads", ALL, |lab| {
            in_a_wait(lab, Hold::Stopped, Signal::KILL)
        }),
        Test::new(
            "death::sigkill_of_serve_whose_acks_are_ignored",
            ALL,
            |lab| in_a_wait(lab, Hold::Ignored, Signal::KILL),
        ),
        Test::new("death::sigterm_of_serve_during_a_wait", ALL, |lab| {
            in_a_wait(lab, Hold::Ignored, Signal::TERM)
        }),
        Test::new("death::sigint_of_idle_serve", ALL, |lab| {
            idle(lab, Signal::INT)
        }),
        Test::new("death::sigterm_of_idle_serve", ALL, |lab| {
            idle(lab, Signal::TERM)
        }),
        Test::new("death::sigkill_of_idle_serve", ALL, |lab| {
            idle(lab, Signal::KILL)
        }),
        Test::new("death::of_a_user_in_every_state", VECTORS, in_every_state),
    ]
}

/// The states in which the user is killed; the first two only where the kernel has PRE_COPY.
const STATES: [DeviceState; 7] = [
    DeviceState::PreCopy,
    DeviceState::PreCopyP2p,
    DeviceState::Running,
    DeviceState::RunningP2p,
    DeviceState::StopCopy,
    DeviceState::Stop,
    DeviceState::Resuming,
];

/// The user is killed in each state: the trace has its pid and the state.
fn in_every_state(lab: &mut Lab) -> Result<()> {
    lab.driver.parameter("limp", "1")?;
    let precopy = lab.open()?.migration()?.context("no migration")?.pre_copy();
    let states = &STATES[if precopy { 0 } else { 2 }..];
    let (users, lines) = lab.watch(|lab| {
        let mut users = Vec::new();
        for state in states {
            lab.driver.closed()?;
            users.push((peer::dies_in(lab.bdf, *state)?, Some(*state)));
        }
        lab.driver.closed()?;
        Ok(users)
    })?;
    lines.found(&[])?;
    let traced: Vec<_> = lines
        .closed()
        .filter(|closed| closed.dying == Some(true))
        .map(|closed| (closed.task.pid, closed.state))
        .collect();
    ensure!(traced == users, "traced {traced:?} instead of {users:?}");
    Ok(())
}

/// Why a state change waits for its acks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// `remap serve` is stopped before it can read.
    Stopped,
    /// The driver ignores acks.
    Ignored,
}

const TIMEOUT_NS: u64 = 60_000_000_000;

/// `remap serve` for a device that this process has opened.
fn serve_for(lab: &Lab, device: &Device) -> Result<Running> {
    use std::os::fd::AsRawFd;
    let fd = device.file();
    let flags = fcntl_getfd(fd)?;
    fcntl_setfd(fd, flags - FdFlags::CLOEXEC)?;
    let service = lab.serve(&["--device-fd", &fd.as_raw_fd().to_string()]);
    fcntl_setfd(fd, flags)?;
    service
}

/// That a process ended by the signal: by SIGKILL, or else with exit code 0.
fn ended_by(ended: &Ended, signal: Signal) -> Result<()> {
    use std::os::unix::process::ExitStatusExt;
    if signal == Signal::KILL {
        ensure!(
            ended.status.signal() == Some(Signal::KILL.as_raw()),
            "{ended:?}"
        );
        return Ok(());
    }
    ended.expect(0).map(drop)
}

/// Ends `remap serve` while a state change waits for it.
fn in_a_wait(lab: &mut Lab, hold: Hold, signal: Signal) -> Result<()> {
    let ((), lines) = lab.watch(|lab| {
        let device = lab.open()?;
        let service = serve_for(lab, &device)?;
        match hold {
            Hold::Stopped => service.stop()?,
            Hold::Ignored => lab.driver.fault("ignore-acks")?,
        }
        lab.driver.clear_log()?;
        let changing = Arc::clone(&device);
        let change =
            std::thread::spawn(move || changing.set_state(DeviceState::StopCopy).map(drop));
        lab.driver.wait_for_wait()?;
        if hold == Hold::Ignored {
            lab.driver.wait_for("an ack that is ignored", |kind| {
                matches!(kind, Kind::Ack { ignored: true, .. })
            })?;
        }
        let ended_ns = now()?;
        ended_by(&service.end(signal)?, signal)?;
        let result = change.join().unwrap_or(Ok(()));
        let errno = result.as_ref().err().and_then(Error::errno);
        ensure!(
            errno == Some(Errno::ECANCELED),
            "the state change gave {result:?}"
        );
        over_soon(lab, ended_ns)
    })?;
    lines.found(&[])?;
    let results = lines.transitions().map(|change| change.result);
    let failed = results.filter(|result| *result == Some(Err(Errno::ECANCELED)));
    ensure!(failed.count() == 1, "{lines:#?}");
    ensure!(lines.cycles().count() >= 3, "{lines:#?}");
    for cycle in lines.cycles() {
        ensure!(
            cycle.outcome == Outcome::Aborted && cycle.reason.is_some(),
            "{cycle:?}"
        );
    }
    Ok(())
}

/// The driver's wait ended because its user ended, and not by the timeout.
fn over_soon(lab: &Lab, ended_ns: u64) -> Result<()> {
    let log = lab.driver.log()?;
    let waits = log.waits();
    let (wait, result) = waits.first().context("no wait in the log")?;
    ensure!(*result == Some(-Errno::ECANCELED.0), "{wait:?}");
    ensure!(
        wait.end_ns >= ended_ns,
        "it ended before its user: {wait:?}"
    );
    ensure!(
        (wait.end_ns - ended_ns) * 10 < TIMEOUT_NS,
        "it ended long after its user: {wait:?}"
    );
    Ok(())
}

/// Ends `remap serve` when it has acked and waits for the next trigger.
fn idle(lab: &mut Lab, signal: Signal) -> Result<()> {
    let ((), lines) = lab.watch(|lab| {
        let service = lab.serve(&[])?;
        ensure!(lab.driver.mappings()? > 0, "remap serve has nothing mapped");
        lab.driver.trigger(0x5)?;
        lab.driver.settle()?;
        let ended = service.end(signal)?;
        ended_by(&ended, signal)?;
        lab.driver.closed()?;
        ensure!(lab.driver.mappings()? == 0, "something is still mapped");
        let log = lab.driver.log()?;
        let reasons = log.all(|kind| match kind {
            Kind::Disable { reason } => Some(reason.as_str()),
            _ => None,
        });
        let asked = reasons.iter().any(|(_, reason)| *reason == "ioctl");
        // A killed process cannot disable its IRQ by ioctl.
        ensure!(
            asked != (signal == Signal::KILL) && !reasons.is_empty(),
            "{reasons:?}"
        );
        Ok(())
    })?;
    lines.found(&[])?;
    lines.complete()
}
