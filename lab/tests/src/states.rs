//! Unusual state changes: each gives the finding of its own rule; a reset gives none.

use std::io::{Read, Write};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use remap_core::event::{DeviceState, Errno};
use remap_core::model::Rule;
use remap_user::vfio::device::{Action, Data, Device};
use remap_user::vfio::error::Error;

use crate::rig::lab::Lab;
use crate::rig::outlast_a_call;
use crate::rig::trace::Trace;
use crate::rig::user::{User, remap_irq};
use crate::{Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("states::impossible_change", VECTORS, blocked),
        Test::new("states::resume_from_invalid_data", VECTORS, no_stream),
        Test::new("states::unread_data_is_left", VECTORS, left),
        Test::new("states::reset_in_every_state", VECTORS, reset),
        Test::new("states::unknown_after_a_failure", VECTORS, unknown),
    ]
}

/// Does something with the device, as a VMM without the remap IRQ: that gives these findings, and no
/// others.
fn watch(
    lab: &mut Lab,
    rules: &[Rule],
    act: impl FnOnce(&Arc<Device>) -> Result<()>,
) -> Result<()> {
    lab.driver.parameter("limp", "1")?;
    let ((), lines) = lab.watch(|lab| {
        let device = lab.open()?;
        // From here on the tracer has seen which states the device supports.
        device.migration()?.context("no migration")?;
        act(&device)
    })?;
    lines.found(rules)
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
    watch(lab, &[Rule::ImpossibleChange], |device| {
        device.set_state(DeviceState::StopCopy)?;
        refused(device, DeviceState::PreCopy, Errno::EINVAL)?;
        ensure!(
            device.state()? == DeviceState::StopCopy,
            "STOP_COPY was left"
        );
        device.set_state(DeviceState::Running)?;
        Ok(())
    })
}

/// The data that was loaded is no device state; a reset recovers the device.
fn no_stream(lab: &mut Lab) -> Result<()> {
    watch(lab, &[Rule::ResumeFailed], |device| {
        let mut data = device
            .set_state(DeviceState::Resuming)?
            .context("no file")?;
        data.write_all(b"no state of any device at all, but more than a header")?;
        refused(device, DeviceState::Stop, Errno::EINVAL)?;
        device.reset()?;
        ensure!(
            device.state()? == DeviceState::Running,
            "a reset did not recover it"
        );
        Ok(())
    })
}

/// The source stops before it has read all, and closes the device.
fn left(lab: &mut Lab) -> Result<()> {
    watch(lab, &[Rule::DataLeft], |device| {
        let mut data = device
            .set_state(DeviceState::StopCopy)?
            .context("no file")?;
        data.read_exact(&mut [0; 100])?;
        device.set_state(DeviceState::Stop)?;
        Ok(())
    })
}

/// A reset ends a migration in any state: the device is RUNNING, and there is no finding.
fn reset(lab: &mut Lab) -> Result<()> {
    watch(lab, &[], |device| {
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
    })
}

/// The user disables the remap IRQ while the driver waits for its acks, which fails the state change;
/// the state is not queried after that.
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
    outlast_a_call()?;
    let traced = trace.end(0)?;
    traced.found(&[Rule::StateUnknown])
}
