//! Ends of a service, at bad moments too: the driver never waits for the dead, and the device can
//! be opened again.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use remap_core::event::{DeviceState, Errno};
use remap_user::vfio::device::Device;
use remap_user::vfio::error::Error;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::Signal;

use crate::rig::child::{Ended, Running};
use crate::rig::log::Kind;
use crate::rig::{Lab, now, until};
use crate::{ALL, Test, VECTORS, member};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "death::sigkill_of_a_service_that_has_not_read",
            ALL,
            |lab| in_a_wait(lab, Hold::Stopped, Signal::KILL),
        ),
        Test::new(
            "death::sigkill_of_a_service_that_is_not_heard",
            ALL,
            |lab| in_a_wait(lab, Hold::Ignored, Signal::KILL),
        ),
        Test::new("death::sigterm_in_a_wait", ALL, |lab| {
            in_a_wait(lab, Hold::Ignored, Signal::TERM)
        }),
        Test::new("death::sigint_of_an_idle_service", ALL, |lab| {
            idle(lab, Signal::INT)
        }),
        Test::new("death::sigterm_of_an_idle_service", ALL, |lab| {
            idle(lab, Signal::TERM)
        }),
        Test::new("death::sigkill_of_an_idle_service", ALL, |lab| {
            idle(lab, Signal::KILL)
        }),
        Test::new("death::in_every_state", VECTORS, in_every_state),
    ]
}

/// The states in which an owner can die; the first ones only where the kernel has PRE_COPY.
const STATES: [DeviceState; 7] = [
    DeviceState::PreCopy,
    DeviceState::PreCopyP2p,
    DeviceState::Running,
    DeviceState::RunningP2p,
    DeviceState::StopCopy,
    DeviceState::Stop,
    DeviceState::Resuming,
];

/// The owner is killed in each state: who it was, and in what it died, is told.
fn in_every_state(lab: &mut Lab) -> Result<()> {
    lab.driver.parameter("limp", "1")?;
    let precopy = lab.open()?.migration()?.context("no migration")?.pre_copy();
    let states = &STATES[if precopy { 0 } else { 2 }..];
    let (owners, lines) = lab.watch(|lab| {
        let mut owners = Vec::new();
        for state in states {
            lab.driver.closed()?;
            owners.push((member::dies_in(lab.bdf, *state)?, state.to_string()));
        }
        lab.driver.closed()?;
        Ok(owners)
    })?;
    lines.found(&[])?;
    let told: Vec<_> = lines
        .closed()
        .filter(|closed| closed.dying == Some(true))
        .map(|closed| (closed.pid, closed.state.clone().unwrap_or_default()))
        .collect();
    ensure!(told == owners, "told {told:?} instead of {owners:?}");
    Ok(())
}

/// Why a wait goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// The service is stopped before it can answer.
    Stopped,
    /// The driver takes no ack.
    Ignored,
}

const TIMEOUT_NS: u64 = 60_000_000_000;

/// A service for a device that this process has opened.
fn serve_for(lab: &Lab, device: &Device) -> Result<Running> {
    use std::os::fd::AsRawFd;
    let fd = device.file();
    let flags = fcntl_getfd(fd)?;
    fcntl_setfd(fd, flags - FdFlags::CLOEXEC)?;
    let service = lab.serve(&["--device-fd", &fd.as_raw_fd().to_string()]);
    fcntl_setfd(fd, flags)?;
    service
}

/// That a process ended as the signal has it: a service that may say so ends with 0.
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

/// Ends a service while a state change waits for it.
fn in_a_wait(lab: &mut Lab, hold: Hold, signal: Signal) -> Result<()> {
    let ((), told) = lab.watch(|lab| {
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
    told.found(&[])?;
    let failed =
        |change: &&crate::rig::trace::Transition| change.result.as_deref() == Some("ECANCELED");
    ensure!(told.transitions().filter(failed).count() == 1, "{told:#?}");
    ensure!(told.cycles().count() >= 3, "{told:#?}");
    for cycle in told.cycles() {
        ensure!(
            cycle.outcome == "aborted" && cycle.reason.is_some(),
            "{cycle:?}"
        );
    }
    Ok(())
}

/// The driver's wait ended because its user did, and not by the time-out.
fn over_soon(lab: &Lab, ended_ns: u64) -> Result<()> {
    let log = lab.driver.log()?;
    let waits = log.waits();
    let (wait, result) = waits.first().context("no wait in the log")?;
    ensure!(*result == Some(-Errno::ECANCELED.0), "{wait:?}");
    ensure!(wait.end_ns >= ended_ns, "it was over before: {wait:?}");
    ensure!(
        (wait.end_ns - ended_ns) * 10 < TIMEOUT_NS,
        "it was long in ending: {wait:?}"
    );
    Ok(())
}

/// Ends a service that has answered and waits for the next trigger.
fn idle(lab: &mut Lab, signal: Signal) -> Result<()> {
    let ((), told) = lab.watch(|lab| {
        let service = lab.serve(&[])?;
        ensure!(lab.driver.mappings()? > 0, "the service has nothing mapped");
        lab.driver.trigger(0x5)?;
        until("the service's acks", || {
            let open = lab.driver.stat("outstanding")? != "0x0";
            Ok((!open).then_some(()))
        })?;
        let ended = service.end(signal)?;
        ended_by(&ended, signal)?;
        until("the device to be closed", || {
            Ok((lab.driver.stat("open")? == "0").then_some(()))
        })?;
        ensure!(lab.driver.mappings()? == 0, "something is still mapped");
        let log = lab.driver.log()?;
        let reasons = log.all(|kind| match kind {
            Kind::Disable { reason } => Some(reason.as_str()),
            _ => None,
        });
        let asked = reasons.iter().any(|(_, reason)| *reason == "ioctl");
        // Who is killed cannot ask.
        ensure!(
            asked != (signal == Signal::KILL) && !reasons.is_empty(),
            "{reasons:?}"
        );
        Ok(())
    })?;
    told.found(&[])?;
    told.complete()
}
