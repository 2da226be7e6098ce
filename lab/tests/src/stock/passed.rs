//! Device files and eventfds in several processes: a device's file or eventfd stays the device's in
//! every process and under every number, and a foreign one never becomes the device's.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Result, ensure};
use remap_core::event::{Body, Event};
use remap_lab_bench::aio::Aio;
use remap_user::vfio::device::{Action, Data};
use remap_user::vfio::eventfd::EventFd;

use super::Tests;
use crate::rig::judge::ledger::Ledger;
use crate::rig::judge::sentence::{Place, Whence, signal};
use crate::rig::peer;
use crate::rig::stock::Stock;
use crate::rig::vmm::assigned::{Assigned, MSIX};

pub const TESTS: Tests = &[
    ("stock::passed::by_inheritance", |stock| {
        handed(stock, peer::inherits)
    }),
    ("stock::passed::into_a_pid_namespace", |stock| {
        handed(stock, peer::inherits_in_a_namespace)
    }),
    ("stock::passed::over_a_socket", |stock| {
        handed(stock, peer::receives)
    }),
    ("stock::passed::by_fork", |stock| grown(stock, peer::forks)),
    ("stock::passed::by_exec", |stock| grown(stock, peer::execs)),
    ("stock::passed::by_a_shared_mm", outlived),
    ("stock::passed::eventfds_recycled", recycled),
];

/// Another process uses the device while this one has it open, then this one uses it.
fn handed(stock: &mut Stock, pass: fn(&Assigned<'_>) -> Result<()>) -> Result<()> {
    let nvme = stock.nvme;
    let lines = stock.watch_one(nvme, &[], |_, nvme| {
        pass(nvme)?;
        nvme.enable(MSIX, 2)?;
        nvme.trigger(MSIX, 1, 3)?;
        nvme.read(Place::trigger(MSIX, 1), 3)?;
        nvme.disable(MSIX)
    })?;
    let own = std::process::id();
    let mut events = lines.named_events();
    let other = events.any(|(device, event)| event.task.pid != own && device.is_some());
    ensure!(other, "every event is this process's");
    // The host's init uses no device; a process in a PID namespace of its own has this pid there.
    let first = lines.events().any(|event| event.task.pid == 1);
    ensure!(!first, "an event has the pid of a namespace");
    Ok(())
}

/// Another process opens the device and ends, and the device is used after that.
fn grown(
    stock: &mut Stock,
    start: fn(remap_user::vfio::sysfs::Bdf, &Ledger) -> Result<()>,
) -> Result<()> {
    let nvme = stock.nvme;
    stock.watch(&[], |_, ledger| start(nvme, ledger)).map(drop)
}

/// The mm of another process outlives it, and with it the mapping. The munmap is traced, although the
/// process that ends the mm has never used a device.
fn outlived(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    let lines = stock.watch_one(nvme, &[], |_, nvme| peer::leaves_its_space(nvme))?;
    let own = std::process::id();
    let unmapped = |event: &Event| matches!(event.body, Body::Unmap(_)) && event.task.pid != own;
    ensure!(
        lines.events().any(unmapped),
        "no munmap by the other process"
    );
    Ok(())
}

/// How many eventfds are set, and removed again.
const EVENTFDS: u32 = 1000;

/// Each eventfd is the device's for a while; soon after, a foreign one reuses its memory, and is used
/// by user space and by the kernel.
fn recycled(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    let aio = Aio::new()?;
    let source = std::fs::File::open("/dev/zero")?;
    let foreign = || -> Result<()> {
        let eventfd = EventFd::new()?;
        eventfd.write(2)?;
        aio.read(source.as_raw_fd(), eventfd.as_fd())?;
        ensure!(eventfd.read()? == Some(3), "a foreign eventfd lost a count");
        Ok(())
    };
    stock
        .watch_one(nvme, &[], |_, nvme| {
            let place = Place::trigger(MSIX, 0);
            let give = |nvme: &Assigned<'_>, eventfd: Option<&EventFd>| {
                let fd = eventfd.map(AsFd::as_fd);
                nvme.set_irqs(MSIX, 0, Action::Trigger, Data::Eventfd(&[fd]))
            };
            let mut before = None;
            for round in 0..EVENTFDS {
                let own = EventFd::new()?;
                give(nvme, Some(&own))?;
                nvme.happened(1, format_args!("{place}, seen"));
                nvme.set_irqs(MSIX, 0, Action::Trigger, Data::None(1))?;
                nvme.happened(1, signal(place, Whence::Inside));
                ensure!(own.read()? == Some(1), "no signal");
                nvme.happened(1, format_args!("{place}: read 1"));
                // This one has replaced the one before, which is foreign since.
                drop(before.take());
                match round % 4 {
                    // Removed, then closed.
                    0 => give(nvme, None)?,
                    // Closed while the device has it.
                    1 => {
                        drop(own);
                        nvme.happened(1, format_args!("{place}: released"));
                        foreign()?;
                        give(nvme, None)?;
                        continue;
                    }
                    // All are removed.
                    2 => nvme.disable(MSIX)?,
                    // The next one takes its place.
                    _ => {
                        before = Some(own);
                        foreign()?;
                        continue;
                    }
                }
                // Foreign now: its uses are not traced.
                own.write(1)?;
                ensure!(own.read()? == Some(1), "an eventfd lost a count");
                drop(own);
                foreign()?;
            }
            nvme.disable(MSIX)
        })
        .map(drop)
}
