//! What is surprising about a device's states, each found under its own rule; and what is not.

use std::io::{Read, Write};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use remap_core::event::{DeviceState, Errno};
use remap_user::vfio::device::{Action, Data, Device};
use remap_user::vfio::error::Error;

use crate::rig::trace::{Lines, Trace};
use crate::rig::{Lab, now, until};
use crate::user::{User, remap_irq};
use crate::{Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("states::a_way_that_is_blocked", VECTORS, blocked),
        Test::new("states::a_stream_that_is_no_stream", VECTORS, no_stream),
        Test::new("states::data_that_is_left", VECTORS, left),
        Test::new("states::a_reset_while_it_is_saved", VECTORS, reset),
        Test::new("states::nobody_asks_after_a_failure", VECTORS, unknown),
    ]
}

/// Does something with the device, as a VMM that knows no remap IRQ; gives what the tracer said.
fn watch(lab: &mut Lab, act: impl FnOnce(&Arc<Device>) -> Result<()>) -> Result<Lines> {
    lab.driver.parameter("limp", "1")?;
    let ((), lines) = lab.watch(|lab| {
        let device = lab.open()?;
        // What states it has is known from then on.
        device.migration()?.context("no migration")?;
        act(&device)
    })?;
    Ok(lines)
}

/// The errno of a call that failed.
fn errno<T>(done: &Result<T, Error>) -> Option<Errno> {
    done.as_ref().err().and_then(Error::errno)
}

/// Asks for a state that is refused.
fn refused(device: &Device, to: DeviceState, errno: Errno) -> Result<()> {
    let done = device.set_state(to);
    let is = self::errno(&done) == Some(errno);
    ensure!(is, "the change to {to} gave {done:?} instead of {errno}");
    Ok(())
}

/// STOP_COPY does not lead back to PRE_COPY.
fn blocked(lab: &mut Lab) -> Result<()> {
    let lines = watch(lab, |device| {
        device.set_state(DeviceState::StopCopy)?;
        refused(device, DeviceState::PreCopy, Errno::EINVAL)?;
        ensure!(device.state()? == DeviceState::StopCopy, "it was left");
        device.set_state(DeviceState::Running)?;
        Ok(())
    })?;
    lines.found(&["impossible-change"])
}

/// What was loaded is no state; a reset is the way out.
fn no_stream(lab: &mut Lab) -> Result<()> {
    let lines = watch(lab, |device| {
        let mut data = device
            .set_state(DeviceState::Resuming)?
            .context("no file")?;
        data.write_all(b"no state of any device at all, but more than a header")?;
        refused(device, DeviceState::Stop, Errno::EINVAL)?;
        device.reset()?;
        ensure!(device.state()? == DeviceState::Running, "no way out");
        Ok(())
    })?;
    lines.found(&["resume-failed"])
}

/// The source stops before it has read all, and closes the device.
fn left(lab: &mut Lab) -> Result<()> {
    let lines = watch(lab, |device| {
        let mut data = device
            .set_state(DeviceState::StopCopy)?
            .context("no file")?;
        data.read_exact(&mut [0; 100])?;
        device.set_state(DeviceState::Stop)?;
        Ok(())
    })?;
    lines.found(&["data-left"])
}

/// A reset ends a migration, in whichever state it is: the device runs, and nothing is wrong.
fn reset(lab: &mut Lab) -> Result<()> {
    let lines = watch(lab, |device| {
        let precopy = device
            .migration()?
            .is_some_and(|support| support.pre_copy());
        let states = [
            (DeviceState::PreCopy, precopy),
            (DeviceState::PreCopyP2p, precopy),
            (DeviceState::RunningP2p, true),
            (DeviceState::StopCopy, true),
            (DeviceState::Resuming, true),
        ];
        for (state, _) in states.into_iter().filter(|(_, there)| *there) {
            device.set_state(state)?;
            device.reset()?;
            ensure!(
                device.state()? == DeviceState::Running,
                "{state} was not left"
            );
        }
        Ok(())
    })?;
    lines.found(&[])
}

/// The user takes the remap IRQ away while the driver waits for it, which ends the change; and then
/// nobody asks in which state the device is.
fn unknown(lab: &mut Lab) -> Result<()> {
    let mut user = User::new(lab)?;
    user.map()?;
    let trace = Trace::start(&[])?;
    let change = user.change(DeviceState::StopCopy);
    lab.driver.wait_for_wait()?;
    let index = remap_irq(&user.device)?.index;
    user.device
        .set_irqs(index, 0, Action::Trigger, Data::None(0))?;
    let changed = change.join().map_err(|_| anyhow::anyhow!("a panic"))?;
    ensure!(errno(&changed) == Some(Errno::ECANCELED), "{changed:?}");
    let long_ns = now()? + 1_100_000_000;
    until("time to pass", || Ok((now()? > long_ns).then_some(())))?;
    let traced = trace.end(0)?;
    traced.summary.lost_nothing()?;
    traced.lines.found(&["state-unknown"])
}
