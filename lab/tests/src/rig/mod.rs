//! The rig that every test uses: start a tracer, wait until it is ready, run a user of the device,
//! collect the tracer's lines, judge them.
//!
//! | part | what it is |
//! | --- | --- |
//! | [`suite`] | the runner: tests by group |
//! | [`process`], [`trace`], [`mod@line`], [`session`] | processes; `remap trace` as one; its lines; one tracer for many tests |
//! | [`lab`], [`stock`] | the devices: with the reference driver, with vfio-pci |
//! | [`driver`], [`log`] | the reference driver's debugfs files, and its log |
//! | [`user`], [`vmm`], [`peer`], [`flood`] | users of a device: of the remap IRQ, as a VMM, in another process, of its interrupts alone |
//! | [`qemu`] | a QEMU as the VMM |
//! | [`recording`] | short recordings, for the unit tests of remap-core |
//! | [`judge`] | a trace compared with what the driver, a user or QEMU has recorded |

pub mod driver;
pub mod flood;
pub mod judge;
pub mod lab;
pub mod line;
pub mod lockdown;
pub mod log;
pub mod peer;
pub mod process;
pub mod qemu;
pub mod recording;
pub mod session;
pub mod stock;
pub mod suite;
pub mod trace;
pub mod user;
pub mod vmm;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use remap_user::vfio::sysfs::Bdf;

/// How long anything may take before a test fails. Nothing is measured by it. The clock of a guest on a
/// busy host runs several times too fast.
pub const PATIENCE: Duration = Duration::from_secs(400);

/// A timeout of the driver for the tests in which it expires: longer than a busy machine needs for
/// the rest of such a test.
pub const SHORT_MS: u64 = 1500;

/// Longer than a call may take before the tracer reports it, ns.
const STUCK_NS: u64 = 1_100_000_000;

/// Polls until there is an answer.
pub fn until<T>(what: &str, mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = poll()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("timed out waiting for {what}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// CLOCK_MONOTONIC, ns.
pub fn now() -> Result<u64> {
    Ok(remap_user::live::clock::monotonic_ns()?)
}

/// Waits until this time has passed, CLOCK_MONOTONIC ns.
pub fn pass(ns: u64) -> Result<()> {
    until("time to pass", || Ok((now()? > ns).then_some(())))
}

/// Waits longer than a call may take before the tracer reports that it does not return.
pub fn outlast_a_call() -> Result<()> {
    pass(now()? + STUCK_NS)
}

/// The devices that the guest's init has bound, in the order in which the lab places them.
pub fn devices() -> Result<Vec<Bdf>> {
    let devices = std::env::var("REMAP_LAB_DEVICES").context("not in the lab's guest")?;
    let devices = devices.split_whitespace().map(str::parse::<Bdf>);
    Ok(devices.collect::<Result<_, _>>()?)
}
