//! A busy host: foreign eventfds that interrupts signal, and a flood of interrupts of another device.
//! Neither takes anything from the cycles of a device.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, ensure};
use remap_core::model::VectorStats;
use remap_user::vfio::device::{Action, Data};
use remap_user::vfio::eventfd::EventFd;
use remap_user::vfio::open::{self, Via};
use remap_user::vfio::sysfs::{Bdf, Host};

use crate::rig::driver::write;
use crate::rig::judge::driver;
use crate::rig::lab::Lab;
use crate::rig::trace::{Trace, Traced};
use crate::rig::vmm::assigned::MSIX;
use crate::rig::{devices, until};
use crate::{ALL, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "busy::foreign_signals_from_interrupts_are_no_loss",
            ALL,
            foreign,
        ),
        Test::new("busy::a_flood_of_another_device", ALL, flood),
    ]
}

/// Enough that a loss would be seen.
const CYCLES: u64 = 250;
/// Between two signals from interrupts, ns. More often than an emulated machine can.
const PERIOD_NS: u64 = 10_000;
/// Signals of one write, by its task.
const BURST: u64 = 1000;

/// A task that works until it is stopped.
struct Worker<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<T>>,
}

impl<T: Send + 'static> Worker<T> {
    fn start(mut act: impl FnMut(&dyn Fn() -> bool) -> Result<T> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || act(&|| stopped.load(Ordering::Relaxed)));
        Self { stop, thread }
    }

    fn end(self) -> Result<T> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.map_err(|_| anyhow::anyhow!("the worker panicked"))?
    }
}

/// Signals an eventfd of no device, from interrupts and from this task. Returns how often.
fn noise(stopped: &dyn Fn() -> bool) -> Result<u64> {
    let file = Path::new("/sys/kernel/debug/remap_ref/noise");
    let eventfd = EventFd::new()?;
    write(
        file,
        &format!("{} {PERIOD_NS}", eventfd.as_fd().as_raw_fd()),
    )?;
    while !stopped() {
        write(file, &format!("burst {BURST}"))?;
    }
    write(file, "off")?;
    let count = std::fs::read_to_string(file)?;
    count.trim().parse().context("the number of signals")
}

/// Drills the device beside a tracer; every cycle is complete, and agrees with the driver.
fn drill(lab: &Lab, trace: Trace) -> Result<Traced> {
    lab.driver.clear_log()?;
    lab.drill(&["--cycles", &CYCLES.to_string()])?.expect(0)?;
    let traced = trace.end(0)?;
    driver::agree(&traced.lines, &lab.driver.log()?)?;
    Ok(traced)
}

fn foreign(lab: &mut Lab) -> Result<()> {
    let noise = Worker::start(noise);
    let traced = drill(lab, Trace::start(&[])?)?;
    let signals = noise.end()?;
    traced.lost_nothing()?;
    let summary = &traced.summary;
    // Else this has shown nothing.
    ensure!(
        summary.skipped > 0,
        "no run was skipped at {signals} foreign signals: {summary:?}"
    );
    let devices = summary.stats.devices.values();
    let vectors = devices.flat_map(|device| device.irqs.values());
    let mut vectors = vectors.flat_map(|irq| irq.vectors.values());
    ensure!(vectors.all(|vector| vector.missed == 0), "{summary:?}");
    Ok(())
}

/// Signals all vectors of a device as fast as it can. Returns how many signals that were.
fn signal_all(bdf: Bdf, stopped: &dyn Fn() -> bool) -> Result<u64> {
    let device = open::open(&Host::default(), bdf, Via::Auto)?;
    let count = device.irq_info(MSIX)?.count;
    let eventfds: Vec<EventFd> = (0..count)
        .map(|_| EventFd::new())
        .collect::<Result<_, _>>()?;
    let fds: Vec<_> = eventfds
        .iter()
        .map(|eventfd| Some(eventfd.as_fd()))
        .collect();
    device.set_irqs(MSIX, 0, Action::Trigger, Data::Eventfd(&fds))?;
    let mut signals = 0;
    while !stopped() {
        device.set_irqs(MSIX, 0, Action::Trigger, Data::None(count))?;
        signals += u64::from(count);
    }
    Ok(signals)
}

fn flood(lab: &mut Lab) -> Result<()> {
    let [_, other] = devices()?[..] else {
        anyhow::bail!("not two devices");
    };
    // The smallest ring.
    let trace = Trace::start(&["--buffer", "1"])?;
    let flood = Worker::start(move |stopped| signal_all(other, stopped));
    // It is under way.
    until("the flood to begin", || Ok(trace.has_lines().then_some(())))?;
    lab.driver.clear_log()?;
    lab.drill(&["--cycles", &CYCLES.to_string()])?.expect(0)?;
    let signals = flood.end()?;
    let traced = trace.end(0)?;
    driver::agree(&traced.lines, &lab.driver.log()?)?;
    let summary = &traced.summary;
    let device = summary.stats.devices.get(&other.to_string());
    let irq = device.and_then(|device| device.irqs.get(&MSIX));
    let vectors: Vec<&VectorStats> = irq
        .into_iter()
        .flat_map(|irq| irq.vectors.values())
        .collect();
    let recorded: u64 = vectors.iter().map(|vector| vector.signals).sum();
    let lost = summary.lost_total();
    ensure!(lost > 0, "the flood was no flood: {summary:?}");
    ensure!(
        recorded + lost == signals,
        "{recorded} recorded and {lost} lost of {signals} signals"
    );
    ensure!(
        vectors.iter().any(|vector| vector.incomplete),
        "the figures of the flood do not show the loss: {vectors:?}"
    );
    Ok(())
}
