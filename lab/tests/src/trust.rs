//! What a trace must not believe, and what it must not conceal: names that others choose, hooks that are
//! switched off, arguments that cannot be read at the entry of a call.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsFd;

use anyhow::{Context, Result, ensure};
use remap_core::event::Errno;
use remap_core::model::{Blind, BlindCause};
use remap_user::vfio::device::{Action, Data};
use remap_user::vfio::eventfd::EventFd;
use rustix::process::Signal;

use crate::rig::lab::Lab;
use crate::rig::line::{Line, is_complete, trigger_ns};
use crate::rig::process::{Collected, Output, Running, remap, run};
use crate::rig::trace::{Trace, Traced};
use crate::rig::vmm::assigned::MSIX;
use crate::rig::vmm::sys;
use crate::rig::{now, until};
use crate::{ALL, Test, VECTORS};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "trust::a_name_does_not_control_the_terminal",
            VECTORS,
            names,
        ),
        Test::new("trust::disarmed_kprobes_are_reported", ALL, |lab| {
            switched_off(lab, &KPROBES)
        }),
        Test::new("trust::ftrace_that_is_off_is_reported", ALL, |lab| {
            switched_off(lab, &FTRACE)
        }),
        Test::new("trust::a_silent_start_is_refused", VECTORS, silent_start),
        Test::new("trust::an_argument_without_a_page", ALL, without_page),
        Test::new(
            "trust::a_failed_set_irqs_changes_no_target",
            VECTORS,
            failed_set,
        ),
    ]
}

/// A switch of the kernel that silences hooks.
struct Switch {
    path: &'static str,
    cause: BlindCause,
}

const KPROBES: Switch = Switch {
    path: "/sys/kernel/debug/kprobes/enabled",
    cause: BlindCause::KprobesDisarmed,
};
const FTRACE: Switch = Switch {
    path: "/proc/sys/kernel/ftrace_enabled",
    cause: BlindCause::FtraceDisabled,
};

/// A switch that is off; on again when this is dropped.
struct Off<'a>(&'a Switch);

impl<'a> Off<'a> {
    /// `None` if this kernel does not let it be switched off (newer ones refuse it for ftrace): then
    /// nothing can be silenced by it.
    fn new(switch: &'a Switch) -> Result<Option<Self>> {
        match fs::write(switch.path, "0") {
            Ok(()) => Ok(Some(Self(switch))),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error).with_context(|| format!("writing {}", switch.path)),
        }
    }
}

impl Drop for Off<'_> {
    fn drop(&mut self) {
        let _ = fs::write(self.0.path, "1");
    }
}

/// Waits for a line about hooks that do not fire, or that fire again.
fn wait_for_blind(trace: &Trace, lines: &mut Vec<Line>, ended: bool) -> Result<Blind> {
    until("a line about hooks that do not fire", || {
        lines.extend(trace.take()?.0);
        let mut found = lines.iter().filter_map(|line| match line {
            Line::Blind { blind, .. } => Some(blind),
            _ => None,
        });
        let found = found.find(|blind| blind.until_ns.is_some() == ended);
        Ok(found.map(|blind| blind.clone().into_owned()))
    })
}

/// A switch is off during a drill: the trace says from when to when, judges nothing of that time, and
/// traces as before afterwards.
fn switched_off(lab: &mut Lab, switch: &Switch) -> Result<()> {
    let trace = Trace::start(&["--fail-on-loss"])?;
    let mut lines = Vec::new();
    lab.drill(&["--cycles", "1"])?.expect(0)?;
    let off_ns = now()?;
    let Some(off) = Off::new(switch)? else {
        let traced = trace.end(0)?;
        ensure!(traced.summary.blind.is_empty(), "{:?}", traced.summary);
        return traced.lines.complete();
    };
    let begun = wait_for_blind(&trace, &mut lines, false)?;
    ensure!(begun.cause == switch.cause, "{begun:?}");
    ensure!(
        begun.since_ns <= off_ns + SOON_NS,
        "{begun:?}, off at {off_ns}"
    );
    lab.drill(&["--cycles", "1"])?.expect(0)?;
    let on_ns = now()?;
    drop(off);
    let ended = wait_for_blind(&trace, &mut lines, true)?;
    let until_ns = ended.until_ns.context("no end")?;
    ensure!(
        ended.since_ns == begun.since_ns && until_ns >= on_ns,
        "{ended:?}"
    );
    lab.drill(&["--cycles", "1"])?.expect(0)?;
    let after = now()?;
    let Traced {
        lines: rest,
        summary,
    } = trace.end(4)?;
    lines.extend(rest.0);
    ensure!(summary.blind == [ended.clone()], "{:?}", summary.blind);
    let mut later = 0;
    for line in &lines {
        match line {
            Line::Finding { finding, .. } => anyhow::bail!("{finding:?}"),
            Line::Cycle { cycle, .. } => {
                let ns = trigger_ns(cycle).unwrap_or(until_ns);
                let during = (ended.since_ns..=until_ns).contains(&ns);
                ensure!(!during || !cycle.complete(), "{cycle:?}, blind: {ended:?}");
                if (until_ns + 1..=after).contains(&ns) {
                    ensure!(is_complete(cycle), "afterwards: {cycle:?}");
                    later += 1;
                }
            }
            _ => {}
        }
    }
    ensure!(later > 0, "nothing was traced afterwards");
    Ok(())
}

/// Hooks were last seen to fire before a switch was thrown, or while it was.
const SOON_NS: u64 = 1_000_000_000;

/// A trace that would see nothing does not begin, and `doctor` says why.
fn silent_start(_: &mut Lab) -> Result<()> {
    for switch in [KPROBES, FTRACE] {
        let Some(_off) = Off::new(&switch)? else {
            continue;
        };
        let name = switch.path.trim_start_matches("/proc/sys/kernel/");
        let words = ["do not fire", name];
        run(remap(&["trace", "--duration", "0"]))?.fails(3, &words)?;
        let doctor = run(remap(&["doctor"]))?;
        doctor.fails(3, &["do not fire"])?;
        ensure!(
            doctor.stdout.contains("failed   probes"),
            "{}",
            doctor.stdout
        );
    }
    run(remap(&["doctor"]))?.expect(0).map(drop)
}

/// Clears the screen, and begins a line of its own.
const HOSTILE: &str = "\x1b[2J\nremap: x";
/// The same as people read it.
const ESCAPED: &str = "\\x1b[2J\\nremap: x";

/// This process has such a name while it uses the device.
fn names(lab: &mut Lab) -> Result<()> {
    let comms = ["/proc/self/comm", "/proc/thread-self/comm"];
    let before = comms.map(fs::read_to_string);
    let result = comms
        .iter()
        .try_for_each(|comm| fs::write(comm, HOSTILE))
        .map_err(Into::into)
        .and_then(|()| shown(lab));
    for (comm, before) in comms.iter().zip(before) {
        fs::write(comm, before?.trim_end())?;
    }
    result
}

fn shown(lab: &Lab) -> Result<()> {
    // A reason on stderr is one line, with a space for the end of another.
    let one_line = ESCAPED.replace("\\n", " ");
    let clean = |what: &str, text: &str| {
        let controls = text.chars().any(|char| char.is_control() && char != '\n');
        let named = text.contains(ESCAPED) || text.contains(&one_line);
        ensure!(!controls && named, "{what}: {text:?}");
        let forged = text.lines().any(|line| line.starts_with("remap: x"));
        ensure!(!forged, "{what}: {text:?}");
        Ok(())
    };
    let collected = Collected::default();
    let trace = Running::start_ready(
        remap(&["trace", "--events"]),
        Output::Collected(collected.clone()),
    )?;
    let device = lab.open()?;
    let listed = run(remap(&["list"]))?;
    clean("list", &listed.expect(0)?.stdout)?;
    let served = run(remap(&["serve", &lab.bdf.to_string()]))?;
    clean("serve", &served.expect(1)?.stderr)?;
    drop(device);
    lab.use_it()?;
    trace.end(Signal::INT)?.expect(0)?;
    clean("trace", &collected.take().join("\n"))
}

/// The argument of a `SET_IRQS` lies in a page that has no memory at the entry of the call.
fn without_page(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--fail-on-loss"])?;
    let device = lab.open()?;
    let eventfd = EventFd::new()?;
    sys::set_irqs_from_file(device.file().as_fd(), MSIX, eventfd.as_fd())?;
    for _ in 0..3 {
        device.set_irqs(MSIX, 0, Action::Trigger, Data::None(1))?;
    }
    ensure!(eventfd.read()? == Some(3), "not three signals");
    drop(device);
    let traced = trace.end(0)?;
    let signals = signals(&traced, lab, 0)?;
    ensure!(signals == 3, "{signals} signals: {:?}", traced.summary);
    Ok(())
}

/// The signals of an MSI-X vector.
fn signals(traced: &Traced, lab: &Lab, sub: u32) -> Result<u64> {
    let devices = &traced.summary.stats.devices;
    let device = devices.get(&lab.bdf.to_string()).context("no device")?;
    let vectors = device.irqs.get(&MSIX).map(|irq| &irq.vectors);
    let vector = vectors.and_then(|vectors| vectors.get(&sub));
    Ok(vector.map_or(0, |vector| vector.signals))
}

/// A call looks up an eventfd that is set already, and then fails: the eventfd keeps its vector.
fn failed_set(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--fail-on-loss"])?;
    let device = lab.open()?;
    let eventfds = [EventFd::new()?, EventFd::new()?, EventFd::new()?];
    let fds: Vec<_> = eventfds
        .iter()
        .map(|eventfd| Some(eventfd.as_fd()))
        .collect();
    device.set_irqs(MSIX, 0, Action::Trigger, Data::Eventfd(&fds))?;
    let file = fs::File::open("/dev/null")?;
    let wrong = [Some(eventfds[0].as_fd()), Some(file.as_fd())];
    let failed = device.set_irqs(MSIX, 1, Action::Trigger, Data::Eventfd(&wrong));
    let errno = failed.err().and_then(|error| error.errno());
    ensure!(errno == Some(Errno::EINVAL), "{errno:?}");
    for _ in 0..3 {
        device.set_irqs(MSIX, 0, Action::Trigger, Data::None(1))?;
    }
    ensure!(eventfds[0].read()? == Some(3), "not three signals");
    drop(device);
    let traced = trace.end(0)?;
    let (first, second) = (signals(&traced, lab, 0)?, signals(&traced, lab, 1)?);
    ensure!(
        (first, second) == (3, 0),
        "vector 0: {first}, vector 1: {second} signals"
    );
    Ok(())
}
