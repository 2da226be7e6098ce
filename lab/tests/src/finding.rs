//! Users that break the protocol: each is found, under its own rule and no other.

use anyhow::{Result, ensure};
use remap_core::event::{DeviceState, Errno};
use remap_user::vfio::error::Error;

use crate::rig::trace::Lines;
use crate::rig::{Lab, SHORT_MS};
use crate::user::{Trigger, User, remap_irq};
use crate::{ALL, BITMAP, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "finding::nothing_is_wrong_with_a_correct_user",
            ALL,
            correct,
        ),
        Test::new("finding::ack-before-requery", ALL, ack_before_requery),
        Test::new("finding::ack-with-mapping", ALL, ack_with_mapping),
        Test::new("finding::missing-ack", ALL, missing_ack),
        Test::new("finding::self-trigger", BITMAP, self_trigger),
        Test::new("finding::deadlock", ALL, |lab| deadlock(lab, false)),
        Test::new("finding::deadlock_of_a_known_reader", ALL, |lab| {
            deadlock(lab, true)
        }),
        Test::new("finding::not-enabled", ALL, not_enabled),
    ]
}

/// The state that takes the mappings away, on every kernel.
const SAVING: DeviceState = DeviceState::StopCopy;

/// What the tracer says of a user.
fn watch(lab: &mut Lab, act: impl FnOnce(&Lab, &mut User) -> Result<()>) -> Result<Lines> {
    let ((), told) = lab.watch(|lab| act(lab, &mut User::new(lab)?))?;
    Ok(told)
}

fn failed_with(result: Result<(), Error>, errno: Errno) -> Result<()> {
    let is = result.as_ref().err().and_then(Error::errno) == Some(errno);
    ensure!(is, "the state change gave {result:?} instead of {errno}");
    Ok(())
}

fn correct(lab: &mut Lab) -> Result<()> {
    let told = watch(lab, |lab, user| {
        user.map()?;
        user.go(lab, SAVING, User::answer)??;
        user.back(lab)
    })?;
    told.found(&[])?;
    told.complete()?;
    ensure!(told.cycles().count() == 6, "{told:#?}");
    Ok(())
}

/// It has nothing mapped, so the driver does not notice.
fn ack_before_requery(lab: &mut Lab) -> Result<()> {
    let told = watch(lab, |lab, user| {
        user.go(lab, SAVING, |user, trigger| user.ack(trigger))??;
        user.back(lab)
    })?;
    told.found(&["ack-before-requery"])
}

/// It unmaps only after the ack; the driver still waits for that.
fn ack_with_mapping(lab: &mut Lab) -> Result<()> {
    let told = watch(lab, |lab, user| {
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
    told.found(&["ack-with-mapping"])
}

fn missing_ack(lab: &mut Lab) -> Result<()> {
    let told = watch(lab, |lab, user| {
        lab.driver.timeout_ms(SHORT_MS)?;
        let mut late: Vec<Trigger> = Vec::new();
        let change = user.change(SAVING);
        crate::rig::until("the time-out", || {
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
    told.found(&["missing-ack"])?;
    let unacked = told.cycles().filter(|cycle| cycle.outcome == "unacked");
    ensure!(unacked.count() == 3, "{told:#?}");
    Ok(())
}

/// It acknowledges as the first proposal had it, and takes its own 1 for a trigger of region 0.
fn self_trigger(lab: &mut Lab) -> Result<()> {
    let told = watch(lab, |lab, user| {
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
    told.found(&["self-trigger"])
}

/// One thread for everything: nobody is there who could answer. With `known` the thread has
/// already been seen to read the eventfds.
fn deadlock(lab: &mut Lab, known: bool) -> Result<()> {
    let told = watch(lab, |lab, user| {
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
    told.found(&["deadlock"])
}

fn not_enabled(lab: &mut Lab) -> Result<()> {
    let ((), told) = lab.watch(|lab| {
        let device = lab.open()?;
        remap_irq(&device)?;
        failed_with(device.set_state(SAVING).map(drop), Errno::ENODEV)
    })?;
    told.found(&["not-enabled"])
}
