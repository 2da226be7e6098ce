//! The stage of a scenario: the lab's two devices, the virtual machines on them, and the outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use remap_user::vfio::open::{self, Via};
use remap_user::vfio::sysfs::Host;
use serde_json::json;
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_PROBE,
};

use super::clock::Ahead;
use super::firmware::Report;
use super::outcome::{Cost, Outcome, Step};
use super::qmp::Event;
use super::vm::{Begin, Ended, Vm};
use crate::rig::driver::Driver;
use crate::rig::suite::Group;
use crate::rig::{devices, now, until};

/// The path of a virtual machine's files in a scenario, without their endings.
pub fn files(scenario: &str, vm: &str) -> String {
    format!("/run/{scenario}-{vm}")
}

/// How fast a migration may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So slow that the first pass over the memory takes minutes, and no downtime is short enough.
    Held,
    /// Unlimited, with any downtime.
    Free,
}

/// The lab's two devices.
pub struct Hosts {
    /// The drivers of both.
    pub drivers: [Driver; 2],
    /// Whether a device is saved while the virtual machine still runs: the kernel has PRE_COPY
    /// (since v6.2, commit 4db52602a607).
    pub precopy: bool,
    /// Whether a device has DMA logging.
    pub logs_dma: bool,
}

impl Hosts {
    /// The devices that the guest's init has bound.
    pub fn new() -> Result<Self> {
        let [one, other] = devices()?[..] else {
            bail!("a migration needs two devices");
        };
        let driver = |device| Driver::new(device, Group::Qemu);
        let device = open::open(&Host::default(), one, Via::Auto)?;
        let probe = VFIO_DEVICE_FEATURE_PROBE
            | VFIO_DEVICE_FEATURE_GET
            | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
        Ok(Self {
            drivers: [driver(one), driver(other)],
            precopy: device.migration()?.context("no migration")?.pre_copy(),
            logs_dma: device.feature(probe, &mut []).is_ok(),
        })
    }

    /// Both devices closed, the driver as it was loaded, its logs empty.
    pub fn clean(&mut self) -> Result<()> {
        self.drivers.iter_mut().try_for_each(Driver::clean)
    }
}

/// A scenario that is being played.
pub struct Stage<'a> {
    pub hosts: &'a mut Hosts,
    /// The scenario's name.
    name: &'static str,
    outcome: Outcome,
}

impl<'a> Stage<'a> {
    /// Begins a scenario on clean devices.
    pub fn new(
        hosts: &'a mut Hosts,
        name: &'static str,
        title: &'static str,
        parameters: &[(&str, &str)],
    ) -> Result<Self> {
        hosts.clean()?;
        for (parameter, value) in parameters {
            hosts.drivers[0].parameter(parameter, value)?;
        }
        let outcome = Outcome {
            title,
            span_ns: now()?..=0,
            ahead: Ahead::measure()?,
            steps: Vec::new(),
            vms: Vec::new(),
            logs: BTreeMap::new(),
            costs: Vec::new(),
        };
        Ok(Self {
            hosts,
            name,
            outcome,
        })
    }

    /// The driver of the first device, or the second.
    pub fn driver(&self, device: usize) -> &Driver {
        &self.hosts.drivers[device]
    }

    /// Records a step, and prints it.
    pub fn note(&mut self, text: impl Into<String>) -> Result<()> {
        let (ns, text) = (now()?, text.into());
        let after = Duration::from_nanos(ns.saturating_sub(*self.outcome.span_ns.start()));
        eprintln!("+{:.3}  {text}", after.as_secs_f64());
        self.outcome.steps.push(Step { ns, text });
        Ok(())
    }

    /// Starts a QEMU on the first device, or the second.
    pub fn start(&mut self, vm: &'static str, device: usize, begin: Begin) -> Result<Vm> {
        let bdf = self.hosts.drivers[device].bdf().to_string();
        self.note(format!("QEMU starts as {vm} on {bdf}"))?;
        let files = files(self.name, vm);
        Vm::start(vm, &bdf, files, begin, self.hosts.logs_dma)
    }

    /// Keeps the trace of a QEMU that has ended.
    pub fn keep(&mut self, ended: Ended) {
        self.outcome.vms.push(ended);
    }

    /// Records the firmware's report after some more laps.
    pub fn laps(&mut self, vm: &mut Vm) -> Result<Report> {
        let report = vm.next_laps()?;
        let Report {
            laps, differences, ..
        } = report;
        self.note(format!(
            "the firmware runs in the {}: lap {laps}, {differences} differences",
            vm.name
        ))?;
        Ok(report)
    }

    /// Begins a migration; returns when the source is saving its device (without PRE_COPY: its
    /// memory), and its firmware has run since. The migration is held there until [`Stage::complete`].
    pub fn begin(&mut self, source: &mut Vm, destination: &mut Vm) -> Result<()> {
        let uri = listen(destination)?;
        pace(source, Pace::Held)?;
        self.note(format!("{} → {}", source.name, destination.name))?;
        source.execute("migrate", json!({ "uri": uri }))?;
        let precopy = self.hosts.precopy;
        source.wait("the migration to begin", |event| {
            let begun = if precopy {
                device_state(event) == Some("pre-copy")
            } else {
                status(event) == Some("active")
            };
            begun.then_some(())
        })?;
        self.laps(source).map(drop)
    }

    /// Completes a migration that has begun.
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
        let stop = source.last("STOP").context("no STOP event of the source")?;
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
        self.outcome.costs.push(cost);
        Ok(())
    }

    /// The pages that faulted in while the device was saved, by region, since it was bound.
    pub fn faults(&self, vm: &Vm) -> Result<BTreeMap<u32, u64>> {
        let driver = self
            .hosts
            .drivers
            .iter()
            .find(|d| d.bdf().to_string() == vm.device);
        driver
            .context("a QEMU on another device than the lab's")?
            .limp_faults()
    }

    /// Ends the scenario: both devices are closed; their logs are in the outcome.
    pub fn end(mut self) -> Result<Outcome> {
        for driver in &self.hosts.drivers {
            driver.closed()?;
            self.outcome
                .logs
                .insert(driver.bdf().to_string(), driver.log()?);
        }
        ensure!(
            self.outcome.ahead.overlaps(&Ahead::measure()?),
            "the guest's clock was set during the scenario"
        );
        self.outcome.span_ns = *self.outcome.span_ns.start()..=now()?;
        Ok(self.outcome)
    }
}

/// Makes a QEMU listen for a migration; gives its address.
pub fn listen(vm: &mut Vm) -> Result<String> {
    vm.execute("migrate-incoming", json!({ "uri": "tcp:127.0.0.1:0" }))?;
    until("the destination to listen", || {
        let info = vm.execute("query-migrate", json!({}))?;
        let port = info["socket-address"][0]["port"].as_str();
        Ok(port.map(|port| format!("tcp:127.0.0.1:{port}")))
    })
}

/// Sets how fast a QEMU may migrate.
pub fn pace(vm: &mut Vm, pace: Pace) -> Result<()> {
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

/// The device's state, if this is QEMU's event about it.
fn device_state(event: &Event) -> Option<&str> {
    (event.name == "VFIO_MIGRATION").then(|| event.data["device-state"].as_str())?
}

/// The migration's status, if this is QEMU's event about it.
fn status(event: &Event) -> Option<&str> {
    (event.name == "MIGRATION").then(|| event.data["status"].as_str())?
}

/// The final status of a migration, if this is QEMU's event about it.
pub fn migration_ended(event: &Event) -> Option<String> {
    let ends = |status: &&str| ["completed", "failed", "cancelled"].contains(status);
    status(event).filter(ends).map(str::to_owned)
}

fn since(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>) -> BTreeMap<u32, u64> {
    let new =
        |(region, count): (&u32, &u64)| (*region, count - before.get(region).copied().unwrap_or(0));
    after.iter().map(new).filter(|(_, new)| *new > 0).collect()
}

/// The error that a migration failed with.
pub fn why(vm: &mut Vm) -> Result<String> {
    let info = vm.execute("query-migrate", json!({}))?;
    Ok(info["error-desc"].as_str().unwrap_or("nothing").to_owned())
}
