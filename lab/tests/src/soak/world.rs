//! The devices of a soak, and the tracers that run beside its actions.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use fastrand::Rng;
use remap_user::vfio::sysfs::Bdf;
use rustix::process::Signal;

use super::totals::Totals;
use crate::busy::Noise;
use crate::rig::devices;
use crate::rig::driver::{Driver, write};
use crate::rig::process::resident;
use crate::rig::suite::Group;
use crate::rig::trace::Trace;

/// The processor that comes and goes.
const CPU: &str = "/sys/devices/system/cpu/cpu1/online";
/// As many tracers run at once, beside the one that always does.
const TRACERS: usize = 2;

/// A device with the reference driver.
pub struct Member {
    pub bdf: Bdf,
    pub driver: Driver,
}

/// Everything that an action may use.
pub struct World {
    pub random: Rng,
    pub totals: Totals,
    pub devices: Vec<Member>,
    /// Foreign signals, while there are some.
    pub noise: Option<Noise>,
    /// Tracers that come and go.
    pub tracers: Vec<Trace>,
    /// The one that always runs.
    long: Trace,
}

impl World {
    /// Starts the tracer that always runs.
    pub fn new(seed: u64) -> Result<Self> {
        let member = |bdf| Member {
            bdf,
            driver: Driver::new(bdf, Group::Soak),
        };
        Ok(Self {
            random: Rng::with_seed(seed),
            totals: Totals::default(),
            devices: devices()?.into_iter().map(member).collect(),
            noise: None,
            tracers: Vec::new(),
            long: Trace::start(&[])?,
        })
    }

    /// One of the devices.
    pub fn device(&mut self) -> &mut Member {
        let index = self.random.usize(..self.devices.len());
        &mut self.devices[index]
    }

    /// A tracer that is taken out of those that run; if there is none, a new one.
    pub fn tracer(&mut self) -> Result<Trace> {
        if self.tracers.is_empty() {
            self.start_tracer()?;
        }
        let index = self.random.usize(..self.tracers.len());
        Ok(self.tracers.swap_remove(index))
    }

    /// Starts one more tracer, of some kind; where there are many, one ends.
    pub fn start_tracer(&mut self) -> Result<()> {
        if self.tracers.len() == TRACERS {
            let trace = self.tracer()?;
            self.end_tracer(trace)?;
        }
        let kinds: [&[&str]; 5] = [
            &[],
            &["--events"],
            &["--buffer", "1"],
            &["--class", "migration"],
            &["--events", "--kprobes"],
        ];
        let kind = kinds[self.random.usize(..kinds.len())];
        self.tracers.push(Trace::start(kind)?);
        Ok(())
    }

    /// Ends a tracer as Ctrl-C does: its account is exact.
    pub fn end_tracer(&mut self, trace: Trace) -> Result<()> {
        let traced = trace.end(0)?;
        self.totals.add(&traced.summary);
        Ok(())
    }

    /// The resident memory of the tracer that always runs, KiB. Its lines are dropped.
    pub fn resident(&self) -> Result<u64> {
        self.long.drop_lines();
        resident(self.long.process().pid())
    }

    /// After a failed action: the state from which any other may begin.
    pub fn recover(&mut self) -> Result<()> {
        self.noise = None;
        online(true)?;
        for member in &mut self.devices {
            member.driver.clean()?;
        }
        Ok(())
    }

    /// Ends everything in order; gives the sums.
    pub fn end(mut self) -> Result<Totals> {
        self.recover()?;
        for trace in std::mem::take(&mut self.tracers) {
            self.end_tracer(trace)?;
        }
        let traced = self.long.end(0).context("the tracer that always ran")?;
        self.totals.add(&traced.summary);
        Ok(self.totals)
    }
}

/// Kills a tracer: the kernel removes its programs.
pub fn kill(trace: Trace) -> Result<()> {
    trace.kill(Signal::KILL).map(drop)
}

/// Switches the second processor on or off.
pub fn online(on: bool) -> Result<()> {
    let now = fs::read_to_string(CPU).with_context(|| format!("reading {CPU}"))?;
    let wanted = if on { "1" } else { "0" };
    if now.trim() == wanted {
        return Ok(());
    }
    write(Path::new(CPU), wanted)
}
