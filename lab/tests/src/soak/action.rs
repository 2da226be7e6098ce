//! The actions of a soak. Each leaves the devices closed and on the reference driver.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use remap_user::vfio::open::{self, Via};
use remap_user::vfio::sysfs::{Bdf, Host};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime, clock_settime};

use super::world::{World, kill, online};
use crate::busy::Noise;
use crate::rig::driver::busybox;
use crate::rig::flood::{Flood, Then};
use crate::rig::judge::ledger::Ledger;
use crate::rig::log::Kind;
use crate::rig::process::{Output, Running, in_shell, remap, run};
use crate::rig::vmm::assigned::{Assigned, MSIX};
use crate::rig::vmm::with;

/// Something that happens on a host.
pub struct Action {
    pub name: &'static str,
    pub run: fn(&mut World) -> Result<()>,
}

const fn action(name: &'static str, run: fn(&mut World) -> Result<()>) -> Action {
    Action { name, run }
}

/// All of them.
pub const ACTIONS: &[Action] = &[
    action("drill", drilled),
    action("drill without a reader", unread),
    action("SIGKILL of a drill", |world| {
        drill_ends(world, Signal::KILL)
    }),
    action("SIGINT of a drill", |world| drill_ends(world, Signal::INT)),
    action("SIGSTOP and SIGCONT of a drill", drill_stops),
    action("serve, SIGTERM", |world| served(world, Signal::TERM)),
    action("serve, SIGKILL", |world| served(world, Signal::KILL)),
    action("a VMM on the reference driver", vmm),
    action("a VMM on vfio-pci", stock),
    action("flood of interrupts", flood),
    action("foreign signals on or off", noise),
    action("a tracer begins", World::start_tracer),
    action("a tracer ends", tracer_ends),
    action("SIGKILL of a tracer", |world| kill(world.tracer()?)),
    action("SIGSTOP and SIGCONT of a tracer", tracer_stops),
    action("a tracer on a full disk", full_disk),
    action("the driver's module is reloaded", reload),
    action("a processor goes and comes", hotplug),
    action("a step of the clock", clock_step),
];

fn drill(bdf: Bdf, arguments: &[&str]) -> std::process::Command {
    let mut command = remap(&["drill", &bdf.to_string()]);
    command.args(arguments);
    command
}

fn drilled(world: &mut World) -> Result<()> {
    let cycles = world.random.u32(1..40).to_string();
    let bdf = world.device().bdf;
    run(drill(bdf, &["--cycles", &cycles]))?.expect(0).map(drop)
}

/// Its lines are dropped, and its triggers are answered.
fn unread(world: &mut World) -> Result<()> {
    let command = drill(
        world.device().bdf,
        &["--verbose", "--json", "--cycles", "40"],
    );
    let ended = Running::start(command, Output::Unread)?.wait()?;
    ended.fails(4, &["were not written"])
}

/// A drill without an end that has remapped something.
fn endless(world: &mut World) -> Result<(Running, usize)> {
    let index = world.random.usize(..world.devices.len());
    let member = &world.devices[index];
    member.driver.clear_log()?;
    let running = Running::start(drill(member.bdf, &["--cycles", "1000000"]), Output::Kept)?;
    member
        .driver
        .wait_for("a requery", |kind| matches!(kind, Kind::Requery { .. }))?;
    Ok((running, index))
}

fn drill_ends(world: &mut World, signal: Signal) -> Result<()> {
    let (running, index) = endless(world)?;
    let ended = running.end(signal)?;
    if signal != Signal::KILL {
        ensure!(ended.status.code().is_some(), "{ended:?}");
    }
    world.devices[index].driver.closed()
}

fn drill_stops(world: &mut World) -> Result<()> {
    let (running, index) = endless(world)?;
    running.stop()?;
    let other = &world.devices[1 - index];
    run(drill(other.bdf, &["--cycles", "3"]))?.expect(0)?;
    running.signal(Signal::CONT)?;
    running.end(Signal::TERM)?;
    world.devices[index].driver.closed()
}

fn served(world: &mut World, signal: Signal) -> Result<()> {
    let triggers = world.random.u32(1..20);
    let member = world.device();
    let command = remap(&["serve", &member.bdf.to_string()]);
    let service = Running::start_ready(command, Output::Kept)?;
    for _ in 0..triggers {
        member.driver.trigger(1)?;
        member.driver.settle()?;
    }
    let ended = service.end(signal)?;
    if signal != Signal::KILL {
        ended.expect(0)?;
    }
    member.driver.closed()
}

/// What a VMM does with a device: vectors, signals, reads, mappings, a reset.
fn use_it(device: &mut Assigned<'_>, vectors: u32) -> Result<()> {
    device.enable(MSIX, vectors)?;
    for sub in 0..vectors {
        device.trigger(MSIX, sub, 2)?;
        let eventfd = device.eventfd(crate::rig::judge::sentence::Place::trigger(MSIX, sub))?;
        ensure!(eventfd.read()? == Some(2), "a count is wrong");
    }
    device.map_page(0)?;
    device.disable(MSIX)?;
    device.unmap()?;
    device.reset()
}

fn vmm(world: &mut World) -> Result<()> {
    let vectors = world.random.u32(1..60);
    let member = world.device();
    with(&Ledger::default(), member.bdf, |_, device| {
        use_it(device, vectors)
    })?;
    member.driver.closed()
}

fn stock(world: &mut World) -> Result<()> {
    let vectors = world.random.u32(1..60);
    let member = world.device();
    member.driver.bind("vfio-pci")?;
    let used = with(&Ledger::default(), member.bdf, |_, device| {
        use_it(device, vectors)
    });
    member.driver.clean()?;
    used
}

fn flood(world: &mut World) -> Result<()> {
    let signals = world.random.u64(1000..30_000);
    let then = if world.random.bool() {
        Then::Read
    } else {
        Then::Pause(Duration::from_millis(1))
    };
    let member = world.device();
    let device = Arc::new(open::open(&Host::default(), member.bdf, Via::Auto)?);
    let flood = Flood::start(&device, then)?;
    flood.wait(signals)?;
    flood.end()?;
    drop(device);
    member.driver.closed()
}

fn noise(world: &mut World) -> Result<()> {
    world.noise = match world.noise.take() {
        Some(noise) => {
            ensure!(noise.count()? > 0, "there were no signals");
            None
        }
        None => Some(Noise::start()?),
    };
    Ok(())
}

fn tracer_ends(world: &mut World) -> Result<()> {
    let trace = world.tracer()?;
    world.end_tracer(trace)
}

/// It is stopped during a drill, and its account is exact.
fn tracer_stops(world: &mut World) -> Result<()> {
    let trace = world.tracer()?;
    trace.process().stop()?;
    let drilled = drilled(world);
    trace.process().signal(Signal::CONT)?;
    drilled?;
    world.end_tracer(trace)
}

/// The folder of a small file system.
const DISK: &str = "/mnt/remap-soak";

fn full_disk(_: &mut World) -> Result<()> {
    fs::create_dir_all(DISK)?;
    busybox(&["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", DISK])?;
    let named = fill().and_then(|()| {
        let command = format!("exec remap trace --json --duration 0 >{DISK}/trace");
        run(in_shell(&command))?.fails(1, &["stdout", "ENOSPC"])
    });
    busybox(&["umount", DISK])?;
    named
}

/// Writes until nothing more fits.
fn fill() -> Result<()> {
    let mut file = File::create(format!("{DISK}/rest"))?;
    loop {
        match file.write(&[0; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error).context("filling a small disk"),
        }
    }
}

/// All devices lose their driver, and get it back.
fn reload(world: &mut World) -> Result<()> {
    world.noise = None;
    let [first, others @ ..] = &mut world.devices[..] else {
        anyhow::bail!("no device");
    };
    first.driver.reload(&[])?;
    first.driver.clean()?;
    for other in others {
        other.driver.clean()?;
    }
    Ok(())
}

/// The devices are used while it is away, and after it has come back.
fn hotplug(world: &mut World) -> Result<()> {
    online(false)?;
    let away = drilled(world);
    online(true)?;
    away?;
    drilled(world)
}

/// The wall clock jumps by up to an hour, forward or back.
fn clock_step(world: &mut World) -> Result<()> {
    let mut time = clock_gettime(ClockId::Realtime);
    time.tv_sec += world.random.i64(-3600..3600);
    clock_settime(ClockId::Realtime, time)?;
    drilled(world)
}
