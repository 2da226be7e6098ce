//! The part of a drill that a service does not reach: what a driver has to refuse, and a user that goes
//! away while the driver waits for it. `remap check --drill` judges the trace of it.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE, VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX,
    VFIO_PCI_MSIX_IRQ_INDEX,
};

use crate::respond::ack::AckForm;
use crate::respond::discover::remap_irqs;
use crate::respond::error::ServeError;
use crate::respond::handshake::Handshake;
use crate::respond::migrate::Migration;
use crate::threads;
use crate::vfio::device::{Action, Data, Device};
use crate::vfio::error::Error as VfioError;
use crate::vfio::eventfd::EventFd;
use remap_core::event::{DeviceState, Errno};
use remap_core::parse::irq::IrqInfo;
use remap_core::parse::region::{Area, Region};

/// How long a poll for triggers waits before it looks whether the state change has returned.
const POLL: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 2_000_000,
};

/// An address of the device's side for a mapping that no device uses.
const IOVA: u64 = 1 << 32;

/// Why an exercise did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExerciseError {
    /// The device, or its remap IRQ, failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A call failed.
    #[error(transparent)]
    Vfio(#[from] VfioError),
    /// An eventfd, a thread or a poll failed.
    #[error(transparent)]
    System(#[from] std::io::Error),
    /// The state change did not return.
    #[error("the change to {0} did not return")]
    Stuck(DeviceState),
    /// Something else than the protocol has came of it.
    #[error("{0}")]
    Unexpected(String),
}

/// What [`exercise`] works on.
struct Exercise<'a> {
    device: &'a Arc<Device>,
    irqs: Vec<IrqInfo>,
    ack: Option<AckForm>,
    limit: Duration,
    handshakes: Vec<Handshake>,
}

/// Takes an idle device through the exercises; each state change takes at most `limit`.
///
/// # Errors
/// The first of them that did not end as the protocol has it. The device is RUNNING again, if it can.
pub fn exercise(
    device: &Arc<Device>,
    ack: Option<AckForm>,
    limit: Duration,
) -> Result<(), ExerciseError> {
    let irqs = remap_irqs(device, ack, |_| {})?;
    let mut exercise = Exercise {
        device,
        irqs: irqs.into_iter().map(|(irq, _)| irq).collect(),
        ack,
        limit,
        handshakes: Vec::new(),
    };
    let done = exercise.run();
    exercise.handshakes.clear();
    if let Some(mut migration) = Migration::find(device)? {
        migration.recover()?;
    }
    done
}

impl Exercise<'_> {
    fn run(&mut self) -> Result<(), ExerciseError> {
        interrupt(self.device)?;
        self.enable()?;
        self.loopback()?;
        let Some(mut migration) = Migration::find(self.device)? else {
            return Ok(());
        };
        // The states of a cycle, up to the first that saves.
        let (before, saving) = migration.before_saving();
        for state in before {
            migration.set(state)?;
        }
        migration = self.user_leaves(migration, saving)?;
        self.enable()?;
        migration = self.trapped_mmap(migration, saving)?;
        let (migration, returned) = self.change(migration, DeviceState::Running, |_| Ok(true))?;
        returned?;
        migration.state()?;
        self.answer()?;
        self.dma()
    }

    fn enable(&mut self) -> Result<(), ExerciseError> {
        self.handshakes.clear();
        for irq in &self.irqs {
            let encoding = irq.remap.map(|remap| remap.encoding);
            let form = self.ack.or(encoding.map(AckForm::preferred));
            let form = form.unwrap_or(AckForm::Unmask);
            let handshake = Handshake::enable(self.device, irq, form);
            let handshake = handshake.map_err(|error| ServeError::Handshake {
                device: self.device.bdf().to_string(),
                error,
            })?;
            self.handshakes.push(handshake);
        }
        Ok(())
    }

    /// The user does not signal itself.
    fn loopback(&self) -> Result<(), ExerciseError> {
        for irq in &self.irqs {
            let signalled = self
                .device
                .set_irqs(irq.index, 0, Action::Trigger, Data::None(1));
            expect(
                "SET_IRQS that signals a remap IRQ",
                signalled,
                Errno::EINVAL,
            )?;
        }
        Ok(())
    }

    /// Disables the IRQs while the driver waits.
    fn user_leaves(
        &mut self,
        migration: Migration,
        saving: DeviceState,
    ) -> Result<Migration, ExerciseError> {
        let old = migration.state()?;
        let (migration, returned) = self.change(migration, saving, |exercise| {
            let read = !exercise.read()?.is_empty();
            if read {
                exercise.handshakes.clear();
            }
            Ok(read)
        })?;
        expect("the change without a user", returned, Errno::ECANCELED)?;
        match migration.state()? {
            state if state == old => Ok(migration),
            state => {
                let text =
                    format!("the device is in {state} after a wait that failed, not in {old}");
                Err(ExerciseError::Unexpected(text))
            }
        }
    }

    /// Enters the state, and maps what is trapped then.
    fn trapped_mmap(
        &mut self,
        migration: Migration,
        saving: DeviceState,
    ) -> Result<Migration, ExerciseError> {
        let (migration, returned) = self.change(migration, saving, |_| Ok(false))?;
        returned?;
        for index in self.regions() {
            let region = self.device.region_info(index)?;
            if let Some(area) = trapped(&region) {
                let mapped = self.device.map(&region, area).map(drop);
                expect("mmap of a page that is trapped", mapped, Errno::EBUSY)?;
            }
        }
        Ok(migration)
    }

    /// Changes the state on a thread. Until it returns, calls `answer`, and answers all triggers where
    /// that does not say that it has.
    fn change(
        &mut self,
        mut migration: Migration,
        to: DeviceState,
        mut answer: impl FnMut(&mut Self) -> Result<bool, ExerciseError>,
    ) -> Result<(Migration, Result<(), VfioError>), ExerciseError> {
        let (returned, wait) = channel();
        threads::spawn(move || {
            let result = migration.set(to);
            let _ = returned.send((migration, result));
        })?;
        let end = std::time::Instant::now() + self.limit;
        loop {
            if let Some(done) = returned_from(&wait)? {
                return Ok(done);
            }
            if std::time::Instant::now() > end {
                // This ends the wait of a driver.
                self.handshakes.clear();
                let done = wait.recv_timeout(self.limit);
                return done.map_err(|_| ExerciseError::Stuck(to));
            }
            if !answer(self)? {
                self.answer()?;
            }
        }
    }

    /// The triggers that are readable soon: the handshake, the sub-index, the counter.
    fn read(&self) -> Result<Vec<(&Handshake, u32, u64)>, ExerciseError> {
        let all = self.handshakes.iter().flat_map(|handshake| {
            let triggers = (0..).zip(handshake.triggers());
            triggers.map(move |(sub, trigger)| (handshake, sub, trigger))
        });
        let all: Vec<_> = all.collect();
        let mut fds: Vec<PollFd<'_>> = all
            .iter()
            .map(|(_, _, trigger)| PollFd::from_borrowed_fd(trigger.as_fd(), PollFlags::IN))
            .collect();
        poll(&mut fds, Some(&POLL)).map_err(std::io::Error::from)?;
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut read = Vec::new();
        for ((handshake, sub, trigger), _) in all.iter().zip(ready).filter(|(_, ready)| *ready) {
            if let Some(value) = trigger.read()? {
                read.push((*handshake, *sub, value));
            }
        }
        Ok(read)
    }

    /// Answers the triggers that are readable soon. Nothing is mapped.
    fn answer(&self) -> Result<(), ExerciseError> {
        for (handshake, sub, value) in self.read()? {
            for region in handshake.remap().regions(sub, value) {
                self.device.region_info(region)?;
            }
            handshake.ack(sub)?;
        }
        Ok(())
    }

    fn regions(&self) -> Vec<u32> {
        let remaps = self.irqs.iter().filter_map(|irq| irq.remap);
        remaps
            .flat_map(|remap| remap.named().collect::<Vec<_>>())
            .collect()
    }

    /// Maps a region for DMA, where the device was opened by its group, and removes that before the
    /// mapping.
    fn dma(&self) -> Result<(), ExerciseError> {
        for index in self.regions() {
            let region = self.device.region_info(index)?;
            let Some(area) = region.areas.first().filter(|_| region.areas.known) else {
                continue;
            };
            let mapping = self.device.map(&region, *area)?;
            // Not every kernel and IOMMU can map every region.
            if self
                .device
                .map_dma(&mapping, IOVA)
                .is_ok_and(|mapped| mapped)
            {
                self.device.unmap_dma(&mapping, IOVA)?;
                mapping.unmap()?;
                break;
            }
        }
        Ok(())
    }
}

fn returned_from<T>(wait: &Receiver<T>) -> Result<Option<T>, ExerciseError> {
    match wait.recv_timeout(Duration::ZERO) {
        Ok(done) => Ok(Some(done)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => {
            let text = "the thread that changes the state panicked".to_owned();
            Err(ExerciseError::Unexpected(text))
        }
    }
}

fn expect(what: &str, result: Result<(), VfioError>, errno: Errno) -> Result<(), ExerciseError> {
    let text = match result {
        Err(error) if error.errno() == Some(errno) => return Ok(()),
        Err(error) => format!("{what} failed otherwise than with {errno}: {error}"),
        Ok(()) => format!("{what} succeeded, and did not fail with {errno}"),
    };
    Err(ExerciseError::Unexpected(text))
}

/// The first page of a region that may not be mapped.
fn trapped(region: &Region) -> Option<Area> {
    const PAGE: u64 = remap_core::parse::capability::PAGE_SIZE;
    let mut at = 0;
    for area in region.areas.iter() {
        if area.offset > at {
            break;
        }
        at = area.offset.saturating_add(area.size);
    }
    let known = region.areas.known && at.saturating_add(PAGE) <= region.size;
    known.then_some(Area {
        offset: at,
        size: PAGE,
    })
}

/// One interrupt of the device: the kernel signals it as if the device had, and it is read. Where it can
/// be masked, it is masked and unmasked.
fn interrupt(device: &Device) -> Result<(), ExerciseError> {
    let indexes = [
        VFIO_PCI_INTX_IRQ_INDEX,
        VFIO_PCI_MSI_IRQ_INDEX,
        VFIO_PCI_MSIX_IRQ_INDEX,
    ];
    let irqs = indexes
        .into_iter()
        .filter_map(|index| device.irq_info(index).ok());
    let usable = |irq: &IrqInfo| irq.count > 0 && irq.flags & VFIO_IRQ_INFO_EVENTFD != 0;
    let Some(irq) = irqs.into_iter().find(usable) else {
        return Ok(());
    };
    let set = |action, data: Data<'_>| device.set_irqs(irq.index, 0, action, data);
    let eventfd = EventFd::new()?;
    set(Action::Trigger, Data::Eventfd(&[Some(eventfd.as_fd())]))?;
    let signalled = set(Action::Trigger, Data::None(1));
    let read = eventfd.read();
    let masked = match irq.flags & VFIO_IRQ_INFO_MASKABLE {
        0 => Ok(()),
        _ => set(Action::Mask, Data::None(1)).and_then(|()| set(Action::Unmask, Data::None(1))),
    };
    set(Action::Trigger, Data::None(0))?;
    signalled.and(masked)?;
    if read?.is_none() {
        let text = format!("IRQ {} was not signalled by SET_IRQS", irq.index);
        return Err(ExerciseError::Unexpected(text));
    }
    Ok(())
}
