//! Users that violate the protocol: each gives the finding of its own rule, and no other.

use anyhow::{Result, ensure};
use remap_core::event::{DeviceState, Errno};
use remap_core::model::{Outcome, Rule};
use remap_user::vfio::error::Error;

use crate::rig::SHORT_MS;
use crate::rig::lab::Lab;
use crate::rig::line::Lines;
use crate::rig::user::{Trigger, User, remap_irq};
use crate::{ALL, BITMAP, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("finding::none_of_a_correct_user", ALL, correct),
        Test::new("finding::ack-before-requery", ALL, ack_before_requery),
        Test::new("finding::ack-with-mapping", ALL, ack_with_mapping),
        Test::new("finding::missing-ack", ALL, missing_ack),
        Test::new("finding::self-trigger", BITMAP, self_trigger),
        Test::new("finding::deadlock", ALL, |lab| deadlock(lab, false)),
        Test::new(
            "finding::deadlock_of_a_thread_that_has_read_before",
            ALL,
            |lab| deadlock(lab, true),
        ),
        Test::new("finding::not-enabled", ALL, not_enabled),
    ]
}

/// The state that revokes the mappings, on every kernel.
const SAVING: DeviceState = DeviceState::StopCopy;

/// What the tracer reports about a user.
fn watch(lab: &mut Lab, act: impl FnOnce(&Lab, &mut User) -> Result<()>) -> Result<Lines> {
    let ((), lines) = lab.watch(|lab| act(lab, &mut User::new(lab)?))?;
    Ok(lines)
}

fn failed_with(result: Result<(), Error>, errno: Errno) -> Result<()> {
    let is = result.as_ref().err().and_then(Error::errno) == Some(errno);
    ensure!(is, "the state change gave {result:?} instead of {errno}");
    Ok(())
}

fn correct(lab: &mut Lab) -> Result<()> {
    let lines = watch(lab, |lab, user| {
        user.map()?;
        user.go(lab, SAVING, User::answer)??;
        user.back(lab)
    })?;
    lines.found(&[])?;
    lines.complete()?;
    ensure!(lines.cycles().count() == 6, "{lines:#?}");
    Ok(())
}

/// It has nothing mapped, so that the driver accepts the ack.
fn ack_before_requery(lab: &mut Lab) -> Result<()> {
    let lines = watch(lab, |lab, user| {
        user.go(lab, SAVING, |user, trigger| user.ack(trigger))??;
        user.back(lab)
    })?;
    lines.found(&[Rule::AckBeforeRequery])
}

/// It unmaps after the ack; the driver waits until then.
fn ack_with_mapping(lab: &mut Lab) -> Result<()> {
    let lines = watch(lab, |lab, user| {
        user.map()?;
        user.go(lab, SAVING, |user, trigger| {
            for region in &trigger.regions {
                user.device.region_info(*region)?;
            }
            user.ack(trigger)?;
            for region in &trigger.regions {
                user.maps.remap(&user.device, *region);
            }
            Ok(())
        })??;
        user.back(lab)
    })?;
    lines.found(&[Rule::AckWithMapping])
}

fn missing_ack(lab: &mut Lab) -> Result<()> {
    let lines = watch(lab, |lab, user| {
        lab.driver.timeout_ms(SHORT_MS)?;
        let mut late: Vec<Trigger> = Vec::new();
        let change = user.change(SAVING);
        crate::rig::until("the timeout", || {
            for trigger in user.read()? {
                for region in &trigger.regions {
                    user.device.region_info(*region)?;
                }
                late.push(trigger);
            }
            Ok(change.is_finished().then_some(()))
        })?;
        ensure!(!late.is_empty(), "the driver has not signalled");
        failed_with(change.join().unwrap_or(Ok(())), Errno::ETIMEDOUT)
    })?;
    lines.found(&[Rule::MissingAck])?;
    let unacked = lines
        .cycles()
        .filter(|cycle| cycle.outcome == Outcome::Unacked);
    ensure!(unacked.count() == 3, "{lines:#?}");
    Ok(())
}

/// It acks by writing 1, as the first proposal had it, and reads its own 1 as a trigger of region 0.
fn self_trigger(lab: &mut Lab) -> Result<()> {
    let lines = watch(lab, |lab, user| {
        let mut first = true;
        user.go(lab, SAVING, |user, trigger| {
            if !std::mem::take(&mut first) {
                return user.answer(trigger);
            }
            for region in &trigger.regions {
                user.maps.remap(&user.device, *region);
            }
            for eventfd in user.handshake.triggers() {
                eventfd.write(1)?;
            }
            Ok(())
        })??;
        user.settle(lab)?;
        user.back(lab)
    })?;
    lines.found(&[Rule::SelfTrigger])
}

/// One thread both changes the state and reads the eventfds, so that no ack can come. With `known`,
/// the tracer has already seen this thread read the eventfds.
fn deadlock(lab: &mut Lab, known: bool) -> Result<()> {
    let lines = watch(lab, |lab, user| {
        if known {
            for _ in 0..2 {
                lab.driver.trigger(0x205)?;
                user.settle(lab)?;
            }
        }
        lab.driver.timeout_ms(SHORT_MS)?;
        failed_with(user.device.set_state(SAVING).map(drop), Errno::ETIMEDOUT)?;
        user.settle(lab)
    })?;
    lines.found(&[Rule::Deadlock])
}

fn not_enabled(lab: &mut Lab) -> Result<()> {
    let ((), lines) = lab.watch(|lab| {
        let device = lab.open()?;
        remap_irq(&device)?;
        failed_with(device.set_state(SAVING).map(drop), Errno::ENODEV)
    })?;
    lines.found(&[Rule::NotEnabled])
}
