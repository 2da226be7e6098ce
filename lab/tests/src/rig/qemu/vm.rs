//! One QEMU with our firmware and one assigned device.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, setpriority_process};
use serde_json::{Value, json};

use super::firmware::{self, Report};
use super::log::{self, Line};
use super::qmp::{Event, Qmp};
use crate::rig::process::{Output, Running};
use crate::rig::until;

const PROGRAM: &str = "qemu-system-x86_64";
/// What it traces: the states of its device and of itself, and the steps of a migration.
const TRACED: [&str; 4] = [
    "vfio_*state*",
    "vm_state_notify",
    "vmstate_downtime_*",
    "migrat*_*",
];
/// As in nice(1).
const LOW: i32 = 10;
const FIRMWARE: &str = "/lib/remap/firmware.bin";

/// A virtual machine that runs, or that waits for an incoming migration.
pub struct Vm {
    /// Its name in the scenario.
    pub name: String,
    /// Its device, by PCI address.
    pub device: String,
    process: Running,
    qmp: Qmp,
    /// The path of its files, without their endings.
    files: String,
}

/// A virtual machine that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its name in the scenario.
    pub name: String,
    /// Its device, by PCI address.
    pub device: String,
    /// QEMU's trace of the device's states.
    pub log: Vec<Line>,
}

/// How a virtual machine begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With its firmware.
    Boot,
    /// By an incoming migration.
    Incoming,
}

impl Vm {
    /// Starts QEMU, whose files begin with `files`; returns when it answers. `logs_dma`:
    /// whether the device has DMA logging.
    pub fn start(
        name: &str,
        device: &str,
        files: String,
        begin: Begin,
        logs_dma: bool,
    ) -> Result<Self> {
        let socket = PathBuf::from(format!("{files}.qmp"));
        let mut command = Command::new(PROGRAM);
        command.args(["-name", &format!("guest={name},debug-threads=on")]);
        command.args(["-no-user-config", "-nodefaults", "-display", "none"]);
        command.args(["-M", "q35", "-accel", "kvm", "-cpu", "host", "-m", "32"]);
        // There is no paravirtual APIC in our firmware.
        command.args(["-global", "kvm-apic.vapic=off", "-bios", FIRMWARE]);
        // The slot that the firmware expects. Without DMA logging in the device or in type1, dirty
        // tracking would keep all of the memory dirty.
        let tracking = if logs_dma { "on" } else { "off" };
        let assigned = format!(
            "vfio-pci,host={device},id=device,addr=5,rombar=0,enable-migration=on,\
             migration-events=on,x-pre-copy-dirty-page-tracking={tracking}"
        );
        command.args(["-device", &assigned]);
        let qmp = format!("unix:{},server=on,wait=off", socket.display());
        command.args(["-qmp", &qmp, "-msg", "timestamp=on"]);
        command.args(["-D", &format!("{files}.log")]);
        for events in TRACED {
            command.args(["-trace", events]);
        }
        if begin == Begin::Incoming {
            command.args(["-incoming", "defer"]);
        }
        let mut process = Running::start(command, Output::Kept)?;
        let qmp = until("QEMU to answer", || {
            process.is_alive().with_context(|| name.to_owned())?;
            Qmp::connect(&socket)
        })?;
        let mut vm = Self {
            name: name.to_owned(),
            device: device.to_owned(),
            process,
            qmp,
            files,
        };
        vm.execute(
            "migrate-set-capabilities",
            json!({ "capabilities": [{ "capability": "events", "state": true }] }),
        )?;
        vm.calm()?;
        Ok(vm)
    }

    /// Lowers the vCPU's priority: the firmware never sleeps, and other threads need the processor.
    fn calm(&mut self) -> Result<()> {
        let threads = self.execute("query-cpus-fast", json!({}))?;
        let thread = threads[0]["thread-id"].as_i64().context("no vCPU")?;
        let thread = Pid::from_raw(i32::try_from(thread)?).context("no thread id")?;
        setpriority_process(Some(thread), LOW).context("lowering the vCPU's priority")
    }

    /// Executes a QMP command.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.qmp
            .execute(command, arguments)
            .with_context(|| format!("the {}", self.name))
    }

    /// Waits for an event.
    pub fn wait<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> Result<T> {
        self.qmp
            .wait(what, pick)
            .with_context(|| format!("the {}", self.name))
    }

    /// The time of the last event of this name, CLOCK_REALTIME ns.
    pub fn last(&self, name: &str) -> Option<u64> {
        let mut events = self.qmp.events().iter().rev();
        events
            .find(|event| event.name == name)
            .map(|event| event.real_ns)
    }

    /// The firmware's report so far.
    pub fn report(&mut self) -> Result<Option<Report>> {
        let file = format!("{}.report", self.files);
        self.execute(
            "pmemsave",
            json!({ "val": firmware::ADDRESS, "size": firmware::LENGTH, "filename": file }),
        )?;
        let bytes = fs::read(&file).with_context(|| format!("reading {file}"))?;
        Report::parse(&bytes).with_context(|| format!("the {}", self.name))
    }

    /// Waits until the firmware has run some laps from now on, and gives its report.
    pub fn next_laps(&mut self) -> Result<Report> {
        let mut first = None;
        let what = format!("laps of the firmware in the {}", self.name);
        until(&what, || {
            let Some(report) = self.report()? else {
                return Ok(None);
            };
            let since = *first.get_or_insert(report.laps);
            // Enough to read each of its pages.
            let enough = report.laps.wrapping_sub(since) > 4 * firmware::PAGES;
            Ok(enough.then_some(report))
        })
    }

    /// Makes it quit.
    pub fn quit(mut self) -> Result<Ended> {
        self.execute("quit", json!({}))?;
        self.ended(Some(0))
    }

    /// Kills it, as a crash would.
    pub fn kill(self) -> Result<Ended> {
        self.process.signal(Signal::KILL)?;
        self.ended(None)
    }

    /// Waits until it ends by itself; with this exit code, if one is given.
    pub fn ended(self, code: Option<i32>) -> Result<Ended> {
        self.qmp.finish();
        let ended = self.process.wait()?;
        if let Some(code) = code {
            ended
                .expect(code)
                .with_context(|| format!("the {}", self.name))?;
        }
        let file = format!("{}.log", self.files);
        let text = fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
        let log = log::parse(&text)?;
        ensure!(
            log.iter().all(|line| line.device == self.device),
            "the {} traced another device: {text}",
            self.name
        );
        Ok(Ended {
            name: self.name,
            device: self.device,
            log,
        })
    }
}
