//! The service: enables the remap IRQs of a device, maps its mappable areas, and answers each
//! trigger with requery → diff → munmap → mmap → ack.
//!
//! The eventfds are on the reactor; every call that may block runs on a blocking thread. The order
//! at the end is always the same: disable, unmap, close.

use std::future::Future;
use std::sync::{Arc, Mutex};

use crate::respond::ack::AckForm;
use crate::respond::apply::{Maps, Remapped};
use crate::respond::discover::{check_regions, remap_irqs};
use crate::respond::error::ServeError;
use crate::respond::handshake::Handshake;
use crate::respond::progress::{Progress, lock};
use crate::respond::report::{Ack, Irq, Ready, RegionAreas, Remap, Report, Trigger};
use crate::respond::triggers::{Signal, Triggers};
use crate::vfio::device::Device;
use remap_core::parse::irq::{IrqInfo, RemapIrq};

/// Takes the reports of a service. Must not block: it is called while a trigger is answered.
pub type Reporter = Box<dyn Fn(Report) + Send + Sync>;

/// The reports and totals of a service.
struct Reporting {
    progress: Arc<Progress>,
    reporter: Reporter,
}

impl Reporting {
    fn report(&self, report: Report) {
        (self.reporter)(report);
    }

    fn problem(&self, text: String) {
        self.progress.add(|totals| totals.problems += 1);
        self.report(Report::Problem { text });
    }

    fn end(&self) {
        self.report(Report::End(self.progress.totals()));
    }
}

/// The state that answers a trigger, on a blocking thread.
struct Answering {
    device: Arc<Device>,
    handshakes: Vec<Handshake>,
    maps: Arc<Mutex<Maps>>,
    reporting: Reporting,
}

/// A running service. Dropping it disables the IRQs, then unmaps.
pub struct Service {
    answering: Arc<Answering>,
    triggers: Triggers,
}

impl Service {
    /// Enables every remap IRQ of the device, then maps its mappable areas. In this order no change
    /// is missed. Must be called within a tokio runtime with its I/O driver on.
    ///
    /// # Errors
    /// [`ServeError`]; then nothing is enabled, and nothing mapped.
    pub fn start(
        device: &Arc<Device>,
        form: Option<AckForm>,
        reporter: Reporter,
    ) -> Result<Self, ServeError> {
        let reporting = Reporting {
            progress: Arc::default(),
            reporter,
        };
        let enabled = enable(device, form, &reporting).and_then(|handshakes| {
            let triggers = Triggers::watch(&handshakes).map_err(ServeError::Wait)?;
            Ok((handshakes, triggers))
        });
        let (handshakes, triggers) = match enabled {
            Ok(enabled) => enabled,
            Err(error) => {
                reporting.end();
                return Err(error);
            }
        };
        let answering = Answering {
            device: Arc::clone(device),
            handshakes,
            maps: Arc::default(),
            reporting,
        };
        let service = Self {
            answering: Arc::new(answering),
            triggers,
        };
        service.answering.map_all()?;
        Ok(service)
    }

    /// The mappings, to inspect them between two triggers.
    pub fn maps(&self) -> Arc<Mutex<Maps>> {
        Arc::clone(&self.answering.maps)
    }

    /// The totals so far.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.answering.reporting.progress)
    }

    /// The regions of the device that its driver may name in a trigger.
    pub fn regions(&self) -> Vec<u32> {
        let handshakes = &self.answering.handshakes;
        let named = |region: &u32| handshakes.iter().any(|each| each.remap().may_name(*region));
        let maps = lock(&self.answering.maps);
        maps.regions()
            .map(|region| region.index)
            .filter(named)
            .collect()
    }

    /// Answers triggers until `stop` completes.
    ///
    /// # Errors
    /// If an eventfd fails, or the thread that answers panics.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let mut stop = std::pin::pin!(stop);
        loop {
            let signal = tokio::select! {
                () = &mut stop => return Ok(()),
                signal = self.triggers.next() => signal.map_err(ServeError::Wait)?,
            };
            let answering = Arc::clone(&self.answering);
            tokio::task::spawn_blocking(move || answering.answer(signal))
                .await
                .map_err(ServeError::Died)?;
        }
    }
}

/// Enables every remap IRQ whose regions can all be remapped.
fn enable(
    device: &Arc<Device>,
    form: Option<AckForm>,
    reporting: &Reporting,
) -> Result<Vec<Handshake>, ServeError> {
    let irqs = remap_irqs(device, form, |text| reporting.problem(text))?;
    for (irq, remap) in &irqs {
        check_regions(device, irq.index, *remap)?;
    }
    let enable = |(irq, remap): &(IrqInfo, RemapIrq)| {
        let form = form.unwrap_or(AckForm::preferred(remap.encoding));
        Handshake::enable(device, irq, form).map_err(|error| ServeError::Handshake {
            device: device.bdf().to_string(),
            error,
        })
    };
    irqs.iter().map(enable).collect()
}

impl Drop for Service {
    fn drop(&mut self) {
        let reporting = &self.answering.reporting;
        for handshake in &self.answering.handshakes {
            if let Err(error) = handshake.disable() {
                reporting.problem(error.to_string());
            }
        }
        lock(&self.answering.maps).clear();
        reporting.end();
    }
}

impl Answering {
    fn map_all(&self) -> Result<(), ServeError> {
        let count = self.device.info()?.num_regions;
        let mut maps = lock(&self.maps);
        for index in 0..count {
            let done = maps.remap(&self.device, index);
            self.reporting
                .progress
                .add(|totals| totals.mapped += done.mapped.len() as u64);
            match &done.after {
                Err(error) if !error.is_absent() => {
                    self.reporting.problem(error.to_string());
                }
                _ => {}
            }
            for error in &done.failed {
                self.reporting.problem(error.to_string());
            }
        }
        let regions = maps.regions().filter(|region| !region.areas.is_empty());
        self.reporting.report(Report::Ready(Ready {
            device: self.device.bdf(),
            irqs: self.handshakes.iter().map(Irq::from).collect(),
            regions: regions.map(RegionAreas::from).collect(),
        }));
        Ok(())
    }

    /// Answers one trigger, and the triggers that are read back with its ack.
    fn answer(&self, signal: Signal) {
        let Some(handshake) = self.handshakes.get(signal.handshake) else {
            return;
        };
        let mut next = Some(signal.value);
        while let Some(value) = next {
            next = self.answer_value(handshake, signal.sub, value);
        }
    }

    /// Answers one value of a trigger's counter. Returns the value that was read back with its ack.
    fn answer_value(&self, handshake: &Handshake, sub: u32, value: u64) -> Option<u64> {
        let named = handshake.remap().regions(sub, value);
        let (regions, unexpected): (Vec<_>, Vec<_>) = named
            .into_iter()
            .partition(|region| handshake.remap().may_name(*region));
        self.reporting.progress.add(|totals| totals.triggers += 1);
        self.reporting.report(Report::Trigger(Trigger {
            irq_index: handshake.index(),
            sub,
            value,
            regions: regions.clone(),
        }));
        if !unexpected.is_empty() {
            self.reporting.problem(format!(
                "IRQ {}.{sub} was signalled with {value:#x} and names the regions {unexpected:?}, \
                 which its capability excludes: they are not remapped",
                handshake.index()
            ));
        }
        for region in regions {
            self.remap(region);
        }
        match handshake.ack(sub) {
            Ok(next) => {
                self.acked(handshake, sub);
                next
            }
            Err(error) => {
                self.reporting.problem(format!("the ack failed: {error}"));
                None
            }
        }
    }

    fn acked(&self, handshake: &Handshake, sub: u32) {
        let (irq_index, form) = (handshake.index(), handshake.form());
        self.reporting.report(Report::Ack(Ack {
            irq_index,
            sub,
            form,
        }));
        // After the report: a thread that waits for the count finds the report sent.
        self.reporting.progress.add(|totals| totals.acks += 1);
    }

    fn remap(&self, region: u32) {
        let done = lock(&self.maps).remap(&self.device, region);
        self.reporting.progress.add(|totals| {
            totals.requeries += 1;
            totals.remaps += u64::from(done.changed());
            totals.kept += done.kept.len() as u64;
            totals.unmapped += done.unmapped.len() as u64;
            totals.mapped += done.mapped.len() as u64;
        });
        self.reporting.report(Report::Remap(Remap::from(&done)));
        for text in problems(&done) {
            self.reporting.problem(text);
        }
    }
}

/// The problems of a remap.
fn problems(done: &Remapped) -> Vec<String> {
    let mut texts: Vec<String> = done.failed.iter().map(ToString::to_string).collect();
    match (&done.before, &done.after) {
        (_, Err(error)) => texts.push(format!("{error}; the region is unmapped")),
        (Some(before), Ok(after)) if before.size != after.size => texts.push(format!(
            "region {} changed its size from {:#x} to {:#x}, which no remap may do; mapped as it \
             is now",
            done.region, before.size, after.size
        )),
        _ => {}
    }
    texts
}
