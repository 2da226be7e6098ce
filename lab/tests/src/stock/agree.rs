//! Three counters that must agree: the tracer, a program in C that uses no BPF, and a bpftrace
//! script.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use remap_core::event::{Body, Call, Event};
use remap_user::vfio::device::{Action, Data};
use rustix::process::Signal;

use super::Tests;
use super::irq::VECTORS;
use super::memory::touch;
use remap_common::uapi::{
    VFIO_DEVICE_FEATURE, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO,
    VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_RESET, VFIO_DEVICE_SET_IRQS,
};

use crate::rig::judge::ledger::Ledger;
use crate::rig::judge::sentence::{Place, Whence, signal, zapped};
use crate::rig::process::{Collected, Output, Running};
use crate::rig::stock::Stock;
use crate::rig::until;
use crate::rig::vmm::assigned::{Assigned, MSIX};
use crate::rig::vmm::sys::PAGE;
use crate::rig::vmm::with;

pub const TESTS: Tests = &[("stock::agree::c_and_bpftrace_count_the_same", agree)];

/// What both others count.
const SIGNAL: &str = "eventfd_signal_mask";
const IOCTL: &str = "vfio_device_fops_unl_ioctl";
/// The requests that are counted each for itself.
const REQUESTS: [u32; 6] = [
    VFIO_DEVICE_GET_INFO,
    VFIO_DEVICE_GET_REGION_INFO,
    VFIO_DEVICE_GET_IRQ_INFO,
    VFIO_DEVICE_SET_IRQS,
    VFIO_DEVICE_RESET,
    VFIO_DEVICE_FEATURE,
];

/// Counts by name; a request's name is its number.
type Counts = BTreeMap<String, u64>;

/// Another counter, with probes of its own.
struct Counting {
    process: Running,
    lines: Collected,
}

/// How many probes of a function are armed.
fn armed(function: &str) -> Result<usize> {
    let list = std::fs::read_to_string("/sys/kernel/debug/kprobes/list")?;
    let ours = |line: &&str| {
        let name = line.split_whitespace().nth(2).unwrap_or_default();
        let is_entry = line.split_whitespace().nth(1) == Some("k");
        is_entry && name.split('+').next() == Some(function) && !line.contains("[DISABLED]")
    };
    Ok(list.lines().filter(ours).count())
}

impl Counting {
    /// Starts it; returns when its probes are armed and it has printed the line `ready`, if any.
    fn start(command: Command, ready: Option<&str>) -> Result<Self> {
        let before = [armed(SIGNAL)?, armed(IOCTL)?];
        let lines = Collected::default();
        let mut process = Running::start(command, Output::Collected(lines.clone()))?;
        until("another counter's probes", || {
            process.is_alive()?;
            let is_ready = ready.is_none_or(|ready| lines.contains(ready));
            let now = [armed(SIGNAL)?, armed(IOCTL)?];
            Ok((is_ready && now[0] > before[0] && now[1] > before[1]).then_some(()))
        })?;
        Ok(Self { process, lines })
    }

    /// Ends it, and gives what it printed.
    fn end(self) -> Result<Vec<String>> {
        self.process.end(Signal::INT)?.expect(0)?;
        Ok(self.lines.take())
    }
}

fn in_c() -> Command {
    let mut command = Command::new("remap-lab-count");
    command.arg(format!("signals={SIGNAL}"));
    command.arg(format!("ioctls={IOCTL}"));
    command.args(REQUESTS.map(|number| format!("{number}={IOCTL}:{number}")));
    command
}

/// `NAME COUNT`, after `ready`.
fn of_c(lines: &[String]) -> Result<Counts> {
    let lines = lines.iter().filter(|line| *line != "ready");
    lines
        .map(|line| {
            let (name, count) = line.split_once(' ').context("no count")?;
            Ok((name.to_owned(), count.parse()?))
        })
        .filter(|entry| !matches!(entry, Ok((_, 0))))
        .collect()
}

fn in_bpftrace() -> Result<Command> {
    let script = "/run/count.bt";
    std::fs::write(script, include_str!("../../c/count.bt"))?;
    let mut command = Command::new("bpftrace");
    command.arg(script);
    Ok(command)
}

/// `@signals: COUNT` and `@ioctls[NUMBER]: COUNT`, among other lines.
fn of_bpftrace(lines: &[String]) -> Result<Counts> {
    let mut counts = Counts::new();
    for line in lines.iter().filter(|line| line.starts_with('@')) {
        let (name, count) = line.split_once(": ").context("no count")?;
        let count: u64 = count.trim().parse()?;
        match name.strip_prefix("@ioctls[") {
            Some(number) => {
                counts.insert(number.trim_end_matches(']').to_owned(), count);
                *counts.entry("ioctls".to_owned()).or_default() += count;
            }
            None => {
                counts.insert(name.trim_start_matches('@').to_owned(), count);
            }
        }
    }
    Ok(counts)
}

/// The number of a request.
fn request(call: &Call) -> Result<u32> {
    Ok(match call {
        Call::GetRegionInfo { .. } => VFIO_DEVICE_GET_REGION_INFO,
        Call::GetIrqInfo { .. } => VFIO_DEVICE_GET_IRQ_INFO,
        Call::SetIrqs { .. } => VFIO_DEVICE_SET_IRQS,
        Call::Reset => VFIO_DEVICE_RESET,
        Call::Feature { .. } => VFIO_DEVICE_FEATURE,
        Call::Other { request } => *request,
        _ => bail!("an unknown call: {call:?}"),
    })
}

/// What the tracer counted.
fn of_events<'a>(events: impl Iterator<Item = &'a Event>) -> Result<Counts> {
    let mut counts = Counts::new();
    let mut count = |name: String| *counts.entry(name).or_default() += 1;
    for event in events {
        match &event.body {
            Body::Signal(_) => count("signals".to_owned()),
            Body::Exit(exit) => {
                count(request(&exit.call)?.to_string());
                count("ioctls".to_owned());
            }
            _ => {}
        }
    }
    Ok(counts)
}

/// Many signals, and ioctls of every kind that is counted.
fn work(nvme: &mut Assigned<'_>) -> Result<()> {
    for round in 0..10 {
        nvme.enable(MSIX, VECTORS)?;
        nvme.set_irqs(MSIX, 0, Action::Trigger, Data::None(VECTORS))?;
        for sub in 0..VECTORS {
            let place = Place::trigger(MSIX, sub);
            nvme.happened(1, signal(place, Whence::Inside));
            if sub % 8 == round % 8 {
                nvme.trigger(MSIX, sub, i64::from(round) + 1)?;
            }
        }
        nvme.disable(MSIX)?;
        nvme.forget(MSIX);
        nvme.region(round % 6)?;
    }
    let irq = nvme.device().irq_info(MSIX);
    ensure!(nvme.called("GET_IRQ_INFO 2", irq).is_ok(), "no MSI-X");
    let state = nvme.device().state();
    let state = nvme.called("FEATURE MIG_DEVICE_STATE get", state);
    ensure!(state.is_err(), "{state:?}, and it cannot migrate");
    // Where nothing was touched a kernel may find nothing to zap.
    touch(nvme.map_first(0, PAGE)?, &[0])?;
    nvme.reset()?;
    nvme.happened(1, zapped("RESET"));
    Ok(())
}

fn agree(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    let (mut c, mut bpftrace) = (Vec::new(), Vec::new());
    let act = |_: &mut Stock, ledger: &Ledger| {
        let one = Counting::start(in_c(), Some("ready")).context("remap-lab-count")?;
        let other = Counting::start(in_bpftrace()?, None).context("bpftrace")?;
        with(ledger, nvme, |_, nvme| work(nvme))?;
        c = one.end().context("remap-lab-count")?;
        bpftrace = other.end().context("bpftrace")?;
        Ok(())
    };
    let lines = stock.watch(&[], act)?;
    let traced = of_events(lines.events())?;
    ensure!(traced.len() == 2 + REQUESTS.len(), "{traced:?}");
    let (c, bpftrace) = (of_c(&c)?, of_bpftrace(&bpftrace)?);
    ensure!(c == traced, "C counted {c:?}, the tracer {traced:?}");
    ensure!(
        bpftrace == traced,
        "bpftrace counted {bpftrace:?}, the tracer {traced:?}"
    );
    Ok(())
}
