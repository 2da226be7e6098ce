//! What happens to the virtual machine: each story starts with one that runs and ends with none,
//! and keeps what everybody wrote down meanwhile.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::json;

use super::clock::Ahead;
use super::teller::{Hosts, Pace, Teller, listen, migration_ended, pace, why};
use super::vm::{Begin, Ended, Vm};
use crate::rig::log::Log;

/// One thing that a story did, or found.
#[derive(Clone, Debug)]
pub struct Step {
    /// CLOCK_MONOTONIC.
    pub ns: u64,
    /// What it was.
    pub text: String,
}

/// What one migration took.
#[derive(Clone, Debug)]
pub struct Cost {
    /// The way that it went.
    pub way: &'static str,
    /// Between QEMU's STOP at the source and its RESUME at the destination, ns.
    pub downtime_ns: u64,
    /// As QEMU accounts it, ms.
    pub total_ms: u64,
    /// Pages that were touched again and faulted in while the source's device was saved, by region.
    pub faults: BTreeMap<u32, u64>,
}

/// A story that has been told to its end.
#[derive(Clone, Debug)]
pub struct Story {
    /// Which one.
    pub tale: &'static Tale,
    /// CLOCK_MONOTONIC when it began and ended.
    pub span_ns: (u64, u64),
    /// How QEMU's clock stood.
    pub ahead: Ahead,
    /// What was done.
    pub steps: Vec<Step>,
    /// Every QEMU, in the order of their starts.
    pub vms: Vec<Ended>,
    /// What the driver logged of each device.
    pub logs: BTreeMap<String, Log>,
    /// The migrations that were completed.
    pub costs: Vec<Cost>,
}

/// A story that can be told.
pub struct Tale {
    /// A word for it.
    pub name: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// The driver's parameters in it.
    pub parameters: &'static [(&'static str, &'static str)],
    /// The virtual machines in it, in the order of their starts.
    pub vms: &'static [&'static str],
    /// Tells it.
    pub tell: fn(Teller<'_>) -> Result<Story>,
}

impl std::fmt::Debug for Tale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Tale {
    /// Tells it on these devices.
    pub fn told(&'static self, hosts: &mut Hosts) -> Result<Story> {
        (self.tell)(Teller::new(hosts, self)?)
    }
}

const LIMP: &[(&str, &str)] = &[("limp", "1")];
const TWO: &[&str] = &["first", "second"];
const THREE: &[&str] = &["first", "second", "third"];

/// There and back again. The VMM has no remap IRQ, so what it has mapped is revoked behind its back.
pub static LIMPING: Tale = Tale {
    name: "limping",
    title: "limp=1: what is mapped is revoked, and faults in again page by page",
    parameters: LIMP,
    vms: THREE,
    tell: there_and_back,
};

/// What the same way costs without it.
pub static UNTRAPPED: Tale = Tale {
    name: "untrapped",
    title: "whole=0 partial=0: nothing is trapped",
    parameters: &[("whole", "0"), ("partial", "0")],
    vms: THREE,
    tell: there_and_back,
};

/// Cancelled; then again, to its end.
pub static CANCELLED: Tale = Tale {
    name: "cancelled",
    title: "limp=1, cancelled half way",
    parameters: LIMP,
    vms: THREE,
    tell: cancelled,
};

/// The destination dies: the source goes on.
pub static KILLED: Tale = Tale {
    name: "killed",
    title: "limp=1, the destination is killed half way",
    parameters: LIMP,
    vms: TWO,
    tell: killed,
};

/// The driver refuses to be saved behind its user's back: QEMU gives up, and goes on.
pub static REFUSED: Tale = Tale {
    name: "refused",
    title: "limp=0: the driver refuses",
    parameters: &[("limp", "0")],
    vms: TWO,
    tell: refused,
};

/// A driver that loses the registers on the way: the firmware must see it.
pub static LOSSY: Tale = Tale {
    name: "lossy",
    title: "limp=1, and the driver loses the registers",
    parameters: LIMP,
    vms: TWO,
    tell: lossy,
};

fn there_and_back(mut teller: Teller<'_>) -> Result<Story> {
    let mut first = teller.start("first", 0, Begin::Boot)?;
    teller.laps(&mut first)?.is_continuous()?;
    let mut second = teller.start("second", 1, Begin::Incoming)?;
    migrate(&mut teller, "there", &mut first, &mut second)?;
    teller.keep(first.quit()?);
    teller.laps(&mut second)?.is_continuous()?;
    let mut third = teller.start("third", 0, Begin::Incoming)?;
    migrate(&mut teller, "back", &mut second, &mut third)?;
    teller.keep(second.quit()?);
    teller.laps(&mut third)?.is_continuous()?;
    teller.keep(third.quit()?);
    teller.end()
}

fn migrate(
    teller: &mut Teller<'_>,
    way: &'static str,
    source: &mut Vm,
    destination: &mut Vm,
) -> Result<()> {
    let before = teller.faults(source)?;
    teller.begin(source, destination)?;
    teller.complete(way, source, destination, &before)
}

fn cancelled(mut teller: Teller<'_>) -> Result<Story> {
    let mut first = teller.start("first", 0, Begin::Boot)?;
    let mut second = teller.start("second", 1, Begin::Incoming)?;
    teller.begin(&mut first, &mut second)?;
    teller.note("the migration is cancelled")?;
    first.execute("migrate_cancel", json!({}))?;
    let status = first.wait("the migration's end", migration_ended)?;
    ensure!(status == "cancelled", "a cancelled migration {status}");
    teller.laps(&mut first)?.is_continuous()?;
    // Nothing more comes: it gives up by itself.
    teller.keep(second.ended(None)?);
    let mut third = teller.start("third", 1, Begin::Incoming)?;
    migrate(&mut teller, "again", &mut first, &mut third)?;
    teller.keep(first.quit()?);
    teller.laps(&mut third)?.is_continuous()?;
    teller.keep(third.quit()?);
    teller.end()
}

fn killed(mut teller: Teller<'_>) -> Result<Story> {
    let mut first = teller.start("first", 0, Begin::Boot)?;
    let mut second = teller.start("second", 1, Begin::Incoming)?;
    teller.begin(&mut first, &mut second)?;
    teller.note("the second is killed")?;
    teller.keep(second.kill()?);
    let status = first.wait("the migration's end", migration_ended)?;
    ensure!(status == "failed", "a migration to the dead {status}");
    teller.laps(&mut first)?.is_continuous()?;
    teller.keep(first.quit()?);
    teller.end()
}

fn refused(mut teller: Teller<'_>) -> Result<Story> {
    let mut first = teller.start("first", 0, Begin::Boot)?;
    teller.laps(&mut first)?.is_continuous()?;
    let mut second = teller.start("second", 1, Begin::Incoming)?;
    let uri = listen(&mut second)?;
    // Without PRE_COPY the device is asked only when the memory is through.
    pace(&mut first, Pace::Free)?;
    teller.note("first → second")?;
    first.execute("migrate", json!({ "uri": uri }))?;
    let status = first.wait("the migration's end", migration_ended)?;
    ensure!(
        status == "failed",
        "a migration that the driver refuses {status}"
    );
    let reason = why(&mut first)?;
    teller.note(format!("QEMU: {reason}"))?;
    ensure!(
        !teller.hosts.precopy || reason.contains("No such device"),
        "QEMU gives another reason: {reason}"
    );
    teller.laps(&mut first)?.is_continuous()?;
    teller.keep(first.quit()?);
    teller.keep(second.kill()?);
    teller.end()
}

fn lossy(mut teller: Teller<'_>) -> Result<Story> {
    teller.driver(1).fault("lose-registers")?;
    let mut first = teller.start("first", 0, Begin::Boot)?;
    let mut second = teller.start("second", 1, Begin::Incoming)?;
    migrate(&mut teller, "there", &mut first, &mut second)?;
    teller.keep(first.quit()?);
    let report = teller.laps(&mut second)?;
    ensure!(
        report.is_continuous().is_err(),
        "nobody noticed that the registers were lost: {report:?}"
    );
    let later = teller.laps(&mut second)?;
    ensure!(
        later.differences == report.differences,
        "they were lost once, and again and again they differ: {later:?}"
    );
    teller.keep(second.quit()?);
    teller.end()
}
