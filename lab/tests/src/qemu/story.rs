//! What happens to the virtual machine: each story starts with one that runs and ends with none,
//! and keeps what everybody wrote down meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::clock::Ahead;
use super::firmware::Report;
use super::qmp::Event;
use super::vm::{Begin, Ended, Vm};
use crate::rig::driver::Driver;
use crate::rig::log::Log;
use crate::rig::{now, until};

/// How fast a migration may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// So slow that it takes minutes to get through the memory for the first time, and no downtime
    /// would be short enough.
    Held,
    /// As fast as it gets, with any downtime.
    Free,
}

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
    /// What it is about.
    pub title: &'static str,
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

/// The lab's two devices.
pub struct Hosts {
    /// The drivers of both.
    pub drivers: [Driver; 2],
}

impl Hosts {
    /// The devices that the guest's init has bound.
    pub fn new() -> Result<Self> {
        let devices = std::env::var("REMAP_LAB_DEVICES").context("not in the lab's guest")?;
        let devices: Vec<&str> = devices.split_whitespace().collect();
        let [one, other] = devices[..] else {
            anyhow::bail!("a migration needs two devices, not {}", devices.len());
        };
        let driver = |device| Driver::new(device, crate::rig::Group::Qemu);
        Ok(Self {
            drivers: [driver(one), driver(other)],
        })
    }

    /// Both devices closed, the driver as it was loaded, its logs empty.
    pub fn clean(&mut self) -> Result<()> {
        self.drivers.iter_mut().try_for_each(Driver::clean)
    }
}

/// A story that is going on.
pub struct Teller<'a> {
    hosts: &'a mut Hosts,
    story: Story,
}

impl<'a> Teller<'a> {
    /// Begins a story on clean devices.
    pub fn new(hosts: &'a mut Hosts, title: &'static str) -> Result<Self> {
        hosts.clean()?;
        let story = Story {
            title,
            span_ns: (now()?, 0),
            ahead: Ahead::measure()?,
            steps: Vec::new(),
            vms: Vec::new(),
            logs: BTreeMap::new(),
            costs: Vec::new(),
        };
        Ok(Self { hosts, story })
    }

    /// Sets a parameter of the driver.
    pub fn parameter(&self, name: &str, value: &str) -> Result<()> {
        self.hosts.drivers[0].parameter(name, value)
    }

    /// The driver of the first device, or the second.
    pub fn driver(&self, device: usize) -> &Driver {
        &self.hosts.drivers[device]
    }

    /// Notes something, and says it to whoever waits.
    pub fn note(&mut self, text: impl Into<String>) -> Result<()> {
        let (ns, text) = (now()?, text.into());
        let after = Duration::from_nanos(ns.saturating_sub(self.story.span_ns.0));
        eprintln!("+{:.3}  {text}", after.as_secs_f64());
        self.story.steps.push(Step { ns, text });
        Ok(())
    }

    /// Starts a QEMU on the first device, or the second.
    pub fn start(&mut self, name: &'static str, device: usize, begin: Begin) -> Result<Vm> {
        let bdf = self.hosts.drivers[device].bdf().to_owned();
        self.note(format!("QEMU starts as {name} on {bdf}"))?;
        Vm::start(name, &bdf, begin)
    }

    /// Keeps what is left of a QEMU.
    pub fn keep(&mut self, ended: Ended) {
        self.story.vms.push(ended);
    }

    /// Reads the firmware's report after it has gone on, and notes it.
    pub fn laps(&mut self, vm: &mut Vm) -> Result<Report> {
        let report = vm.goes_on()?;
        let Report {
            laps, differences, ..
        } = report;
        self.note(format!(
            "the firmware goes on in the {}: lap {laps}, {differences} differences",
            vm.name
        ))?;
        Ok(report)
    }

    /// Begins to migrate, and comes back when the source's device is being saved and the firmware
    /// has gone on since. It goes no further until [`Teller::complete`].
    pub fn begin(&mut self, source: &mut Vm, destination: &mut Vm) -> Result<()> {
        let uri = listen(destination)?;
        pace(source, Pace::Held)?;
        self.note(format!("{} → {}", source.name, destination.name))?;
        source.execute("migrate", json!({ "uri": uri }))?;
        source.wait("the device to be saved", |event| {
            (device_state(event) == Some("pre-copy")).then_some(())
        })?;
        self.laps(source).map(drop)
    }

    /// Lets a migration that has begun be completed.
    pub fn complete(
        &mut self,
        way: &'static str,
        source: &mut Vm,
        destination: &mut Vm,
        before: &BTreeMap<u32, u64>,
    ) -> Result<()> {
        pace(source, Pace::Free)?;
        let status = source.wait("the migration's end", migration_ended)?;
        ensure!(status == "completed", "the migration {status}");
        let stop = source
            .last("STOP")
            .context("QEMU did not tell that it stopped")?;
        let resume = destination.wait("the destination to run", |event| {
            (event.name == "RESUME").then_some(event.real_ns)
        })?;
        let info = source.execute("query-migrate", json!({}))?;
        let cost = Cost {
            way,
            downtime_ns: resume.saturating_sub(stop),
            total_ms: info["total-time"].as_u64().context("no total time")?,
            faults: since(before, &self.faults(source)?),
        };
        self.note(format!("{} → {} completed", source.name, destination.name))?;
        self.story.costs.push(cost);
        Ok(())
    }

    /// The pages that faulted in while the device was saved, by region, since it was bound.
    pub fn faults(&self, vm: &Vm) -> Result<BTreeMap<u32, u64>> {
        let driver = self.hosts.drivers.iter().find(|d| d.bdf() == vm.device);
        driver.context("a QEMU on no device of ours")?.limp_faults()
    }

    /// Ends the story: both devices are closed, and their logs are kept.
    pub fn end(mut self) -> Result<Story> {
        for driver in &self.hosts.drivers {
            driver.closed()?;
            self.story
                .logs
                .insert(driver.bdf().to_owned(), driver.log()?);
        }
        ensure!(
            self.story.ahead.overlaps(&Ahead::measure()?),
            "the guest's clock was set meanwhile"
        );
        self.story.span_ns.1 = now()?;
        Ok(self.story)
    }
}

/// Has a QEMU listen for a migration; gives where.
fn listen(vm: &mut Vm) -> Result<String> {
    vm.execute("migrate-incoming", json!({ "uri": "tcp:127.0.0.1:0" }))?;
    until("the destination to listen", || {
        let info = vm.execute("query-migrate", json!({}))?;
        let port = info["socket-address"][0]["port"].as_str();
        Ok(port.map(|port| format!("tcp:127.0.0.1:{port}")))
    })
}

fn pace(vm: &mut Vm, pace: Pace) -> Result<()> {
    // QEMU limits by tenths of a second, and takes 0 bytes for no limit.
    let (bytes_per_s, downtime_ms) = match pace {
        Pace::Held => (256, 1),
        Pace::Free => (10_u64 << 30, 60_000),
    };
    let parameters = json!({
        "max-bandwidth": bytes_per_s,
        "avail-switchover-bandwidth": bytes_per_s,
        "downtime-limit": downtime_ms,
    });
    vm.execute("migrate-set-parameters", parameters).map(drop)
}

/// The state in QEMU's event about a device, in its words.
fn device_state(event: &Event) -> Option<&str> {
    (event.name == "VFIO_MIGRATION").then(|| event.data["device-state"].as_str())?
}

/// How a migration ended, if this says so.
fn migration_ended(event: &Event) -> Option<String> {
    let status = (event.name == "MIGRATION").then(|| event.data["status"].as_str())??;
    ["completed", "failed", "cancelled"]
        .contains(&status)
        .then(|| status.to_owned())
}

fn since(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>) -> BTreeMap<u32, u64> {
    let new =
        |(region, count): (&u32, &u64)| (*region, count - before.get(region).copied().unwrap_or(0));
    after.iter().map(new).filter(|(_, new)| *new > 0).collect()
}

/// The error that a migration failed with.
fn why(vm: &mut Vm) -> Result<String> {
    let info = vm.execute("query-migrate", json!({}))?;
    Ok(info["error-desc"].as_str().unwrap_or("nothing").to_owned())
}

/// There and back again, with the driver limping: the VMM has no remap IRQ, so what it has mapped
/// is revoked behind its back, and every page that the vCPU touches again faults in.
pub fn limping(hosts: &mut Hosts) -> Result<Story> {
    let teller = Teller::new(
        hosts,
        "limp=1: what is mapped is revoked, and faults in again page by page",
    )?;
    teller.parameter("limp", "1")?;
    there_and_back(teller)
}

/// There and back again, and nothing is trapped: what the way costs without it.
pub fn untrapped(hosts: &mut Hosts) -> Result<Story> {
    let teller = Teller::new(hosts, "whole=0 partial=0: nothing is trapped")?;
    teller.parameter("whole", "0")?;
    teller.parameter("partial", "0")?;
    there_and_back(teller)
}

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

/// Cancelled half way; then again, to its end.
pub fn cancelled(hosts: &mut Hosts) -> Result<Story> {
    let mut teller = Teller::new(hosts, "limp=1, cancelled half way")?;
    teller.parameter("limp", "1")?;
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

/// The destination dies half way: the source goes on.
pub fn killed(hosts: &mut Hosts) -> Result<Story> {
    let mut teller = Teller::new(hosts, "limp=1, the destination is killed half way")?;
    teller.parameter("limp", "1")?;
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

/// The driver refuses to be saved behind its user's back: QEMU gives up, and goes on.
pub fn refused(hosts: &mut Hosts) -> Result<Story> {
    let mut teller = Teller::new(hosts, "limp=0: the driver refuses")?;
    let mut first = teller.start("first", 0, Begin::Boot)?;
    teller.laps(&mut first)?.is_continuous()?;
    let mut second = teller.start("second", 1, Begin::Incoming)?;
    let uri = listen(&mut second)?;
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
        reason.contains("No such device"),
        "QEMU gives another reason: {reason}"
    );
    teller.laps(&mut first)?.is_continuous()?;
    teller.keep(first.quit()?);
    teller.keep(second.kill()?);
    teller.end()
}

/// A driver that loses the registers on the way: the firmware must see it.
pub fn lost_registers(hosts: &mut Hosts) -> Result<Story> {
    let mut teller = Teller::new(hosts, "limp=1, and the driver loses the registers")?;
    teller.parameter("limp", "1")?;
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
