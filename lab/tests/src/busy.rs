//! A busy host: foreign eventfds that interrupts signal, and a flood of interrupts of another device.
//! Neither takes anything from the cycles of a device.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use remap_core::model::VectorStats;
use remap_user::vfio::eventfd::EventFd;
use remap_user::vfio::open::{self, Via};
use remap_user::vfio::sysfs::Host;

use crate::rig::driver::write;
use crate::rig::flood::{Flood, Then};
use crate::rig::judge::driver;
use crate::rig::lab::Lab;
use crate::rig::line::is_complete;
use crate::rig::log::{Kind, Log};
use crate::rig::trace::{Trace, Traced, preempted};
use crate::rig::vmm::assigned::MSIX;
use crate::rig::{devices, until};
use crate::{Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "busy::foreign_signals_from_interrupts_are_no_loss",
            VECTORS,
            foreign,
        ),
        Test::new("busy::a_flood_of_another_device", VECTORS, flood),
    ]
}

/// Enough that a loss would be seen.
const CYCLES: u64 = 250;
/// Between two signals from interrupts, ns. The clock of a guest on a busy host runs several times too
/// fast; with a shorter period it has no time left for anything else.
const PERIOD_NS: u64 = 200_000;
/// Between two calls of the flood: the guest's other tasks get their turn.
const PAUSE: Duration = Duration::from_millis(1);
/// The regions that a drill has remapped in one of its cycles.
const REGIONS: u64 = 6;

/// Interrupts that signal an eventfd of no device, until this is dropped.
pub struct Noise {
    file: &'static Path,
    /// It is signalled as long as it is open.
    _eventfd: EventFd,
}

impl Noise {
    /// Begins.
    pub fn start() -> Result<Self> {
        let file = Path::new("/sys/kernel/debug/remap_ref/noise");
        let eventfd = EventFd::new()?;
        write(
            file,
            &format!("{} {PERIOD_NS}", eventfd.as_fd().as_raw_fd()),
        )?;
        Ok(Self {
            file,
            _eventfd: eventfd,
        })
    }

    /// How often it was signalled.
    pub fn count(&self) -> Result<u64> {
        let count = std::fs::read_to_string(self.file)?;
        count.trim().parse().context("the number of signals")
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        let _ = write(self.file, "off");
    }
}

/// Drills the device beside a tracer. `after` is called before the tracer ends.
fn drill<T>(lab: &Lab, trace: Trace, after: impl FnOnce() -> Result<T>) -> Result<(Traced, T)> {
    lab.driver.clear_log()?;
    lab.drill(&["--cycles", &CYCLES.to_string()])?.expect(0)?;
    let after = after()?;
    // A tracer that is behind does not take everything at its end.
    let log = lab.driver.log()?;
    let is_change = |kind: &Kind| matches!(kind, Kind::State { .. }).then_some(());
    let changes = log.all(is_change).len();
    until("the last state change", || {
        Ok((trace.count("\"type\":\"transition\"") >= changes).then_some(()))
    })?;
    let traced = trace.end(0)?;
    let lost = &traced.summary.lost;
    agree(&traced, &log).with_context(|| format!("lost {lost:?}"))?;
    Ok((traced, after))
}

/// Every cycle is complete and agrees with the driver. Where the kernel preempts a program of another
/// task, it skips the same program for this device too: then one that is missing is a skipped run.
fn agree(traced: &Traced, log: &Log) -> Result<()> {
    let (lines, skipped) = (&traced.lines, traced.summary.skipped);
    if skipped == 0 || !preempted()? {
        return driver::agree(lines, log);
    }
    driver::agree_in_part(lines, log)?;
    let complete = lines.cycles().filter(|cycle| is_complete(cycle)).count() as u64;
    ensure!(
        complete + skipped >= CYCLES * REGIONS,
        "{complete} complete cycles, {skipped} runs skipped"
    );
    Ok(())
}

fn foreign(lab: &mut Lab) -> Result<()> {
    let noise = Noise::start()?;
    let (traced, signals) = drill(lab, Trace::start(&[])?, || noise.count())?;
    drop(noise);
    traced.lost_nothing()?;
    let summary = &traced.summary;
    ensure!(signals > 0, "the timer did not signal");
    let devices = summary.stats.devices.values();
    let vectors = devices.flat_map(|device| device.irqs.values());
    let mut vectors = vectors.flat_map(|irq| irq.vectors.values());
    ensure!(vectors.all(|vector| vector.missed == 0), "{summary:?}");
    Ok(())
}

fn flood(lab: &mut Lab) -> Result<()> {
    let [_, other] = devices()?[..] else {
        anyhow::bail!("not two devices");
    };
    let trace = Trace::start(&[])?;
    let device = Arc::new(open::open(&Host::default(), other, Via::Auto)?);
    let flood = Flood::start(&device, Then::Pause(PAUSE))?;
    let (traced, (calls, signals)) = drill(lab, trace, || flood.end())?;
    let summary = &traced.summary;
    let device = summary.stats.devices.get(&other.to_string());
    let irq = device.and_then(|device| device.irqs.get(&MSIX));
    let vectors: Vec<&VectorStats> = irq
        .into_iter()
        .flat_map(|irq| irq.vectors.values())
        .collect();
    let recorded: u64 = vectors.iter().map(|vector| vector.signals).sum();
    let (lost, skipped) = (summary.lost_total(), summary.skipped);
    let missing = signals
        .checked_sub(recorded)
        .with_context(|| format!("{recorded} signals were recorded, {signals} were caused"))?;
    // Of the flood's calls a record of the begin and one of the end may be among the lost.
    ensure!(
        missing <= lost + skipped && lost <= missing + 2 * calls,
        "{recorded} recorded, {lost} lost and {skipped} skipped of {signals} signals by {calls} calls"
    );
    let shown = vectors.iter().filter(|vector| vector.incomplete).count();
    ensure!(
        shown > 0 || missing == 0,
        "no figure of the flood shows that {missing} signals are missing"
    );
    ensure!(
        shown == 0 || lost + skipped > 0,
        "{shown} figures of the flood are called incomplete, and nothing was lost"
    );
    Ok(())
}
