//! The service: enables the remap IRQs of a device, maps what may be mapped, and answers each
//! trigger with requery → diff → munmap → mmap → ack.
//!
//! The eventfds are on the reactor; every call that may block is made on a blocking thread. The
//! order on the way out is fixed, and the same for every way: disable, unmap, close.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use thiserror::Error;
use tokio::io::unix::AsyncFd;

use crate::respond::ack::AckForm;
use crate::respond::apply::{Maps, Remapped};
use crate::respond::discover::{check_regions, remap_irqs};
use crate::respond::handshake::{Handshake, HandshakeError};
use crate::respond::progress::{Progress, lock};
use crate::respond::report::{Ack, Irq, Ready, RegionAreas, Remap, Report, Trigger};
use crate::vfio::device::Device;
use crate::vfio::error::Error as VfioError;
use crate::vfio::eventfd::EventFd;

/// Why a device cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// No IRQ index of the device is a remap IRQ.
    #[error(
        "{device} has no remap IRQ: none of its {count} IRQ indexes has the capability; bind it \
         to a driver that speaks the protocol"
    )]
    NoRemapIrq {
        /// The device.
        device: String,
        /// How many IRQ indexes it has.
        count: usize,
    },
    /// The IRQ may name a region that cannot be remapped: better no service than half a one.
    #[error("{device} IRQ {index} is not enabled: region {region}, which it may signal, {why}")]
    CannotRemap {
        /// The device.
        device: String,
        /// IRQ index.
        index: u32,
        /// Region index.
        region: u32,
        /// Why.
        why: String,
    },
    /// The IRQ could not be enabled.
    #[error("{device}: {error}")]
    Handshake {
        /// The device.
        device: String,
        /// Why.
        error: HandshakeError,
    },
    /// An eventfd failed on the reactor.
    #[error("waiting for a trigger failed: {0}")]
    Wait(io::Error),
    /// The thread that answers panicked.
    #[error("the thread that answers a trigger died: {0}")]
    Died(tokio::task::JoinError),
    /// The device failed.
    #[error(transparent)]
    Vfio(#[from] VfioError),
}

/// Who is told what a service does. Must not block: a trigger is being answered.
pub type Reporter = Box<dyn Fn(Report) + Send + Sync>;

/// What the blocking side needs to answer a trigger.
struct Answering {
    device: Arc<Device>,
    handshakes: Vec<Handshake>,
    maps: Arc<Mutex<Maps>>,
    progress: Arc<Progress>,
    report: Reporter,
}

/// A running service. Dropping it disables the IRQs, then unmaps.
pub struct Service {
    answering: Arc<Answering>,
    watched: Vec<Watched>,
}

/// An eventfd on the reactor.
struct Watched {
    handshake: usize,
    sub: u32,
    fd: AsyncFd<Arc<EventFd>>,
}

impl Service {
    /// Enables every remap IRQ of the device, then maps all that may be mapped. In this order no
    /// change is missed. Must be called within a tokio runtime with its I/O driver on.
    ///
    /// # Errors
    /// [`ServeError`]; then nothing is enabled, and nothing mapped.
    pub fn start(
        device: &Arc<Device>,
        form: Option<AckForm>,
        report: Reporter,
    ) -> Result<Self, ServeError> {
        let progress = Arc::new(Progress::default());
        let answering = Answering {
            device: Arc::clone(device),
            handshakes: Vec::new(),
            maps: Arc::default(),
            progress,
            report,
        };
        let mut service = Self {
            answering: Arc::new(answering),
            watched: Vec::new(),
        };
        let irqs = remap_irqs(device, form, |text| service.answering.problem(text))?;
        for (irq, remap) in &irqs {
            check_regions(device, irq.index, *remap)?;
        }
        let mut handshakes = Vec::new();
        for (irq, remap) in &irqs {
            let form = form.unwrap_or(AckForm::preferred(remap.encoding));
            let handshake =
                Handshake::enable(device, irq, form).map_err(|error| ServeError::Handshake {
                    device: device.bdf().to_string(),
                    error,
                })?;
            handshakes.push(handshake);
        }
        for (number, handshake) in handshakes.iter().enumerate() {
            for (sub, trigger) in (0..).zip(handshake.triggers()) {
                let fd = Arc::clone(trigger).watch().map_err(ServeError::Wait)?;
                service.watched.push(Watched {
                    handshake: number,
                    sub,
                    fd,
                });
            }
        }
        if let Some(answering) = Arc::get_mut(&mut service.answering) {
            answering.handshakes = handshakes;
        }
        service.answering.map_all()?;
        Ok(service)
    }

    /// The mappings, for a look in between two triggers.
    pub fn maps(&self) -> Arc<Mutex<Maps>> {
        Arc::clone(&self.answering.maps)
    }

    /// What the service has done.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.answering.progress)
    }

    /// The regions that the driver said that it may name; of the device's own regions.
    pub fn regions(&self) -> Vec<u32> {
        let handshakes = &self.answering.handshakes;
        let named = |region: &u32| handshakes.iter().any(|each| each.remap().may_name(*region));
        let maps = lock(&self.answering.maps);
        maps.regions()
            .map(|region| region.index)
            .filter(named)
            .collect()
    }

    /// Answers triggers until `stop` is done.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = poll_fn(|context| self.poll_trigger(context));
            let (handshake, sub, value) = tokio::select! {
                () = &mut stop => return Ok(()),
                next = next => next.map_err(ServeError::Wait)?,
            };
            let answering = Arc::clone(&self.answering);
            tokio::task::spawn_blocking(move || answering.answer(handshake, sub, value))
                .await
                .map_err(ServeError::Died)?;
        }
    }

    /// The next trigger: which handshake, which sub-index, and the counter.
    fn poll_trigger(&self, context: &mut Context<'_>) -> Poll<io::Result<(usize, u32, u64)>> {
        for watched in &self.watched {
            if let Poll::Ready(value) = poll_value(&watched.fd, context) {
                return Poll::Ready(value.map(|value| (watched.handshake, watched.sub, value)));
            }
        }
        Poll::Pending
    }
}

/// The counter of an eventfd as soon as it is not 0.
fn poll_value(fd: &AsyncFd<Arc<EventFd>>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
    loop {
        let mut guard = ready!(fd.poll_read_ready(context))?;
        let value = fd.get_ref().read()?;
        // The counter is 0 now. A signal from here on comes as a new edge.
        guard.clear_ready();
        if let Some(value) = value {
            return Poll::Ready(Ok(value));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for handshake in &self.answering.handshakes {
            if let Err(error) = handshake.disable() {
                self.answering.problem(error.to_string());
            }
        }
        lock(&self.answering.maps).clear();
        let totals = self.answering.progress.totals();
        self.answering.report(Report::End(totals));
    }
}

impl Answering {
    fn report(&self, report: Report) {
        (self.report)(report);
    }

    fn problem(&self, text: String) {
        self.progress.add(|totals| totals.problems += 1);
        self.report(Report::Problem { text });
    }

    fn map_all(&self) -> Result<(), ServeError> {
        let count = self.device.info()?.num_regions;
        let mut maps = lock(&self.maps);
        for index in 0..count {
            let done = maps.remap(&self.device, index);
            self.progress
                .add(|totals| totals.mapped += done.mapped.len() as u64);
            match &done.after {
                Err(error) if !error.is_absent() => {
                    self.problem(error.to_string());
                }
                _ => {}
            }
            for error in &done.failed {
                self.problem(error.to_string());
            }
        }
        let regions = maps.regions().filter(|region| !region.areas.is_empty());
        self.report(Report::Ready(Ready {
            device: self.device.bdf(),
            irqs: self.handshakes.iter().map(Irq::from).collect(),
            regions: regions.map(RegionAreas::from).collect(),
        }));
        Ok(())
    }

    /// Answers one trigger, and whatever is found when its ack is read back.
    fn answer(&self, handshake: usize, sub: u32, value: u64) {
        let Some(handshake) = self.handshakes.get(handshake) else {
            return;
        };
        let mut next = Some(value);
        while let Some(value) = next {
            let named = handshake.remap().regions(sub, value);
            let (regions, strange): (Vec<_>, Vec<_>) = named
                .into_iter()
                .partition(|region| handshake.remap().may_name(*region));
            self.progress.add(|totals| totals.triggers += 1);
            self.report(Report::Trigger(Trigger {
                irq_index: handshake.index(),
                sub,
                value,
                regions: regions.clone(),
            }));
            if !strange.is_empty() {
                self.problem(format!(
                    "IRQ {}.{sub} was signalled with {value:#x} and names {strange:?}, which its \
                     driver said that it would not: left as they are",
                    handshake.index()
                ));
            }
            for region in regions {
                self.remap(region);
            }
            next = match handshake.ack(sub) {
                Ok(next) => {
                    self.acked(handshake, sub);
                    next
                }
                Err(error) => {
                    self.problem(format!("the ack failed: {error}"));
                    None
                }
            };
        }
    }

    fn acked(&self, handshake: &Handshake, sub: u32) {
        let (irq_index, form) = (handshake.index(), handshake.form());
        self.report(Report::Ack(Ack {
            irq_index,
            sub,
            form,
        }));
        // After the report: who waits for this has it told.
        self.progress.add(|totals| totals.acks += 1);
    }

    fn remap(&self, region: u32) {
        let done = lock(&self.maps).remap(&self.device, region);
        self.progress.add(|totals| {
            totals.requeries += 1;
            totals.remaps += u64::from(done.changed());
            totals.kept += done.kept.len() as u64;
            totals.unmapped += done.unmapped.len() as u64;
            totals.mapped += done.mapped.len() as u64;
        });
        self.report(Report::Remap(Remap::from(&done)));
        for text in problems(&done) {
            self.problem(text);
        }
    }
}

/// What is wrong with a remap.
fn problems(done: &Remapped) -> Vec<String> {
    let mut texts: Vec<String> = done.failed.iter().map(ToString::to_string).collect();
    match (&done.before, &done.after) {
        (_, Err(error)) => texts.push(format!("{error}; nothing of the region stays mapped")),
        (Some(before), Ok(after)) if before.size != after.size => texts.push(format!(
            "region {} changed its size from {:#x} to {:#x}, which no remap may do; mapped as it \
             is now",
            done.region, before.size, after.size
        )),
        _ => {}
    }
    texts
}
