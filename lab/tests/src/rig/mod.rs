//! What every test stands on: the device and its driver, processes, tracers.

pub mod child;
pub mod driver;
pub mod log;
pub mod session;
pub mod trace;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use remap_user::respond::drill::{DrillError, Options, drill};
use remap_user::vfio::device::Device;
use remap_user::vfio::open::{self, Via};
use remap_user::vfio::sysfs::{Bdf, Host};

use child::{Output, Running, remap};
use driver::Driver;
use session::Session;

/// The encoding that the driver was loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// One eventfd, whose counter is a bitmap.
    Bitmap,
    /// An eventfd for each region.
    Vectors,
    /// The same, with a real VMM and a device for each end of a migration.
    Qemu,
    /// The same, with a node for the device beside its group.
    Cdev,
}

impl Group {
    /// The driver's parameter.
    pub fn encoding(self) -> &'static str {
        match self {
            Self::Bitmap => "bitmap",
            Self::Vectors | Self::Qemu | Self::Cdev => "vectors",
        }
    }
}

/// How long anything may take before a test fails. Nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A time-out of the driver for the tests in which it gives up: longer than a busy machine needs
/// for what goes well in them.
pub const SHORT_MS: u64 = 1500;

/// Asks until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("waited in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// CLOCK_MONOTONIC, ns.
pub fn now() -> Result<u64> {
    Ok(remap_user::live::clock::monotonic_ns()?)
}

/// The lab: one device, and whoever watches it.
pub struct Lab {
    /// The driver's encoding.
    pub group: Group,
    /// The device's address.
    pub bdf: Bdf,
    /// Its driver's own interfaces.
    pub driver: Driver,
    session: Session,
    /// Whether the device has been used since the last test has touched it.
    used: bool,
}

impl Lab {
    /// The lab as the guest's init has left it.
    pub fn new(group: Group) -> Result<Self> {
        let devices = std::env::var("REMAP_LAB_DEVICES").context("not in the lab's guest")?;
        let bdf = devices.split_whitespace().next().context("no device")?;
        Ok(Self {
            group,
            bdf: bdf.parse()?,
            driver: Driver::new(bdf, group),
            session: Session::default(),
            used: false,
        })
    }

    /// Runs one test on a clean device, and sees that the device can be used after it.
    pub fn test(&mut self, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.driver.clean()?;
        self.used = false;
        body(self).and_then(|()| {
            self.driver.clean()?;
            if std::mem::take(&mut self.used) {
                return Ok(());
            }
            self.use_it().context("the device after the test")
        })
    }

    /// Ends what outlives a test.
    pub fn finish(&mut self) -> Result<()> {
        self.session.end()
    }

    /// The device, opened by this process.
    pub fn open(&self) -> Result<Arc<Device>> {
        Ok(Arc::new(open::open(&Host::default(), self.bdf, Via::Auto)?))
    }

    /// `remap serve` with further arguments, answering.
    pub fn serve(&self, arguments: &[&str]) -> Result<Running> {
        let mut command = remap(&["serve", &self.bdf.to_string()]);
        command.args(arguments);
        Running::start_ready(command, Output::Kept)
    }

    /// Opens the device and takes it once through a migration.
    pub fn use_it(&self) -> Result<()> {
        let device = self.open()?;
        let (lines, _kept) = channel();
        let options = Options {
            cycles: 1,
            states: None,
            ack: None,
            limit: PATIENCE,
            stop: Arc::new(AtomicBool::new(false)),
        };
        let verdict = drill::<DrillError>(&device, &options, &lines, || Ok(()))?;
        ensure!(verdict.is_good(), "a drill failed: {verdict}");
        Ok(())
    }
}
