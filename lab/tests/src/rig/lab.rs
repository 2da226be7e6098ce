//! The reference driver's device, and the tracer that most of its tests share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;

use anyhow::{Context, Result, ensure};
use remap_user::respond::drill::{DrillError, Options, drill};
use remap_user::vfio::device::Device;
use remap_user::vfio::open::{self, Via};
use remap_user::vfio::sysfs::{Bdf, Host};

use super::driver::Driver;
use super::line::Lines;
use super::process::{Ended, Output, Running, remap, run};
use super::session::Session;
use super::suite::{Group, Rig};
use super::{PATIENCE, devices, lockdown, now};

/// One device with the reference driver.
pub struct Lab {
    /// The group: it names the driver's encoding.
    pub group: Group,
    /// The device's address.
    pub bdf: Bdf,
    /// Its driver's own interfaces.
    pub driver: Driver,
    session: Session,
    /// Whether the device has been drilled since the current test last touched it.
    drilled: bool,
}

impl Rig for Lab {
    /// A drill after the test proves that the device can still be used.
    fn test(&mut self, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.driver.clean()?;
        self.drilled = false;
        body(self).and_then(|()| {
            if !lockdown::is_on() {
                self.driver.clean()?;
            }
            if std::mem::take(&mut self.drilled) {
                return Ok(());
            }
            self.use_it().context("the device after the test")
        })
    }

    fn finish(&mut self) -> Result<()> {
        match self.session.end()? {
            Some(traced) => traced.lost_nothing(),
            None => Ok(()),
        }
    }
}

impl Lab {
    /// The lab as the guest's init has left it.
    pub fn new(group: Group) -> Result<Self> {
        let bdf = devices()?.first().copied().context("no device")?;
        Ok(Self {
            group,
            bdf,
            driver: Driver::new(bdf, group),
            session: Session::new(&[]),
            drilled: false,
        })
    }

    /// The device, opened by this process.
    pub fn open(&self) -> Result<Arc<Device>> {
        Ok(Arc::new(open::open(&Host::default(), self.bdf, Via::Auto)?))
    }

    /// Starts `remap serve` with further arguments; returns when it is ready.
    pub fn serve(&self, arguments: &[&str]) -> Result<Running> {
        let mut command = remap(&["serve", &self.bdf.to_string()]);
        command.args(arguments);
        Running::start_ready(command, Output::Kept)
    }

    /// Runs `remap drill` with further arguments to its end.
    pub fn drill(&self, arguments: &[&str]) -> Result<Ended> {
        let mut command = remap(&["drill", &self.bdf.to_string()]);
        command.args(arguments);
        run(command)
    }

    /// Opens the device and takes it through one migration, within this process.
    pub fn use_it(&self) -> Result<()> {
        drill_once(&self.open()?)
    }

    /// Does something that leaves the device closed; gives what the shared tracer reported about
    /// that time.
    pub fn watch<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, Lines)> {
        self.session.start()?;
        let begin_ns = now()?;
        let done = act(self)?;
        let span_ns = begin_ns..=now()?;
        self.driver.clean()?;
        let bdf = self.bdf;
        let lines = self.session.collect(&span_ns, || {
            drill_once(&open::open(&Host::default(), bdf, Via::Auto)?.into())
                .context("the device afterwards")
        })?;
        self.drilled = true;
        Ok((done, lines))
    }
}

fn drill_once(device: &Arc<Device>) -> Result<()> {
    let (lines, _kept) = channel();
    let options = Options {
        cycles: 1,
        states: None,
        ack: None,
        limit: PATIENCE,
        exercise: false,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let verdict = drill::<DrillError>(device, &options, &lines, || Ok(()))?;
    ensure!(verdict.is_good(), "a drill failed: {verdict}");
    Ok(())
}
