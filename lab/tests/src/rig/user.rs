//! A user of the remap IRQ that a test controls step by step, so that it can violate the protocol.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use remap_core::event::DeviceState;
use remap_core::parse::irq::IrqInfo;
use remap_user::respond::ack::AckForm;
use remap_user::respond::apply::Maps;
use remap_user::respond::handshake::Handshake;
use remap_user::vfio::device::Device;
use remap_user::vfio::error::Error;

use crate::rig::lab::Lab;
use crate::rig::until;

/// This process as the user of the device.
pub struct User {
    /// Its mappings. Unmapped first.
    pub maps: Maps,
    /// The remap IRQ, enabled.
    pub handshake: Handshake,
    /// The device. Closed last.
    pub device: Arc<Device>,
    /// The regions that a trigger may name.
    pub regions: Vec<u32>,
}

/// A trigger that was read.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The sub-index of its eventfd.
    pub sub: u32,
    /// The regions that it names.
    pub regions: Vec<u32>,
}

/// The device's remap IRQ.
pub fn remap_irq(device: &Device) -> Result<IrqInfo> {
    let mut irqs = device.irqs()?.into_iter().flatten();
    irqs.find(|irq| irq.remap.is_some()).context("no remap IRQ")
}

impl User {
    /// Opens the device, enables the remap IRQ, and queries every region that it may name.
    pub fn new(lab: &Lab) -> Result<Self> {
        let device = lab.open()?;
        let irq = remap_irq(&device)?;
        let remap = irq.remap.context("no remap IRQ")?;
        let handshake = Handshake::enable(&device, &irq, AckForm::preferred(remap.encoding))?;
        let regions: Vec<u32> = remap.named().collect();
        for region in &regions {
            device.region_info(*region)?;
        }
        Ok(Self {
            maps: Maps::default(),
            handshake,
            device,
            regions,
        })
    }

    /// Maps every area that may be mapped.
    pub fn map(&mut self) -> Result<()> {
        for region in self.regions.clone() {
            let done = self.maps.remap(&self.device, region);
            ensure!(done.failed.is_empty(), "{done:?}");
        }
        Ok(())
    }

    /// Reads the triggers that are readable now.
    pub fn read(&self) -> Result<Vec<Trigger>> {
        let triggers = self.handshake.triggers();
        let mut fds: Vec<_> = triggers
            .iter()
            .map(|fd| rustix::event::PollFd::new(fd.as_ref(), rustix::event::PollFlags::IN))
            .collect();
        rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default()))?;
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut read = Vec::new();
        for ((sub, trigger), ready) in (0..).zip(triggers).zip(ready) {
            if ready && let Some(value) = trigger.read()? {
                let regions = self.handshake.remap().regions(sub, value);
                read.push(Trigger { sub, regions });
            }
        }
        Ok(read)
    }

    /// Answers as the protocol requires: requery, unmap, map, ack.
    pub fn answer(&mut self, trigger: &Trigger) -> Result<()> {
        for region in &trigger.regions {
            let done = self.maps.remap(&self.device, *region);
            ensure!(done.failed.is_empty() && done.after.is_ok(), "{done:?}");
        }
        self.ack(trigger)
    }

    /// Acks.
    pub fn ack(&self, trigger: &Trigger) -> Result<()> {
        Ok(self.handshake.ack(trigger.sub).map(drop)?)
    }

    /// Changes the state in another thread.
    pub fn change(&self, to: DeviceState) -> JoinHandle<Result<(), Error>> {
        let device = Arc::clone(&self.device);
        std::thread::spawn(move || device.set_state(to).map(drop))
    }

    /// Changes the state, and passes every trigger to `answer` until all are acked and the state change
    /// has returned; gives its result.
    pub fn go(
        &mut self,
        lab: &Lab,
        to: DeviceState,
        mut answer: impl FnMut(&mut Self, &Trigger) -> Result<()>,
    ) -> Result<Result<(), Error>> {
        let change = self.change(to);
        until("a state change", || {
            let returned = change.is_finished();
            for trigger in self.read()? {
                answer(self, &trigger)?;
            }
            Ok((returned && lab.driver.is_settled()?).then_some(()))
        })?;
        Ok(change.join().unwrap_or(Ok(())))
    }

    /// Answers every trigger until all are acked.
    pub fn settle(&mut self, lab: &Lab) -> Result<()> {
        until("the acks of all triggers", || {
            for trigger in self.read()? {
                self.answer(&trigger)?;
            }
            Ok(lab.driver.is_settled()?.then_some(()))
        })
    }

    /// Back to RUNNING, with correct answers.
    pub fn back(&mut self, lab: &Lab) -> Result<()> {
        self.go(lab, DeviceState::Running, Self::answer)??;
        Ok(())
    }
}
