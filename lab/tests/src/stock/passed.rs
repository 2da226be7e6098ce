//! Device files and eventfds that change hands: what is a device's stays the device's, whoever
//! has it and by whatever number, and what is not never becomes it.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Result, ensure};
use remap_lab_bench::aio::Aio;
use remap_user::vfio::device::{Action, Data};
use remap_user::vfio::eventfd::EventFd;

use super::Body;
use super::irq::with;
use super::rig::Stock;
use crate::ledger::Ledger;
use crate::member;
use crate::vmm::assigned::{Assigned, MSIX};
use crate::words::{Place, Whence, signal};

pub const TESTS: &[(&str, Body)] = &[
    ("stock::passed::by_inheritance", |stock| {
        handed(stock, member::inherits)
    }),
    ("stock::passed::into_a_pid_namespace", |stock| {
        handed(stock, member::inherits_in_a_namespace)
    }),
    ("stock::passed::over_a_socket", |stock| {
        handed(stock, member::receives)
    }),
    ("stock::passed::by_fork", |stock| {
        grown(stock, member::forks)
    }),
    ("stock::passed::by_exec", |stock| {
        grown(stock, member::execs)
    }),
    ("stock::passed::by_a_shared_space", outlived),
    ("stock::passed::eventfds_recycled", recycled),
];

/// Another process uses the device while this one has it open, and this one after that.
fn handed(stock: &mut Stock, pass: fn(&Assigned<'_>) -> Result<()>) -> Result<()> {
    let nvme = stock.nvme;
    let act = |_: &mut Stock, ledger: &Ledger| {
        with(ledger, nvme, |_, nvme| {
            pass(nvme)?;
            nvme.enable(MSIX, 2)?;
            nvme.trigger(MSIX, 1, 3)?;
            nvme.read(Place::trigger(MSIX, 1), 3)?;
            nvme.disable(MSIX)
        })
    };
    let events = stock.watch(&[], act)?;
    let own = std::process::id();
    let others = events
        .iter()
        .filter(|event| event["pid"] != own && !event["device"].is_null())
        .count();
    ensure!(others > 0, "all is told of this process");
    // The host's init has nothing to do with it: that is what a process is in a namespace of its own.
    let first = events.iter().any(|event| event["pid"] == 1);
    ensure!(!first, "a pid of a namespace is told");
    Ok(())
}

/// Another process opens the device and ends before its use does.
fn grown(
    stock: &mut Stock,
    start: fn(remap_user::vfio::sysfs::Bdf, &Ledger) -> Result<()>,
) -> Result<()> {
    let nvme = stock.nvme;
    stock.watch(&[], |_, ledger| start(nvme, ledger)).map(drop)
}

/// The address space of another process outlives it, and so does the mapping in it; its end is told,
/// although the process that ends it has never used a device.
fn outlived(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    let act = |_: &mut Stock, ledger: &Ledger| {
        with(ledger, nvme, |_, nvme| member::leaves_its_space(nvme))
    };
    let events = stock.watch(&[], act)?;
    let own = std::process::id();
    let unmapped = |event: &serde_json::Value| event["kind"] == "unmap" && event["pid"] != own;
    ensure!(events.iter().any(unmapped), "its end is told of another");
    Ok(())
}

/// How many eventfds the device is given, and loses again.
const EVENTFDS: u32 = 1000;

/// Each eventfd is the device's for a while, and somebody else's memory soon after: another one is
/// made, and used by user space and by the kernel.
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
    let act = |_: &mut Stock, ledger: &Ledger| {
        with(ledger, nvme, |_, nvme| {
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
                // The one before was pushed out by this one, and is somebody's own since.
                drop(before.take());
                match round % 4 {
                    // Taken away, then closed.
                    0 => give(nvme, None)?,
                    // Closed while the device has it.
                    1 => {
                        drop(own);
                        nvme.happened(1, format_args!("{place}: released"));
                        foreign()?;
                        give(nvme, None)?;
                        continue;
                    }
                    // All are taken away.
                    2 => nvme.disable(MSIX)?,
                    // The next one takes its place.
                    _ => {
                        before = Some(own);
                        foreign()?;
                        continue;
                    }
                }
                // Nobody's now: what its owner does with it concerns no device.
                own.write(1)?;
                ensure!(own.read()? == Some(1), "an eventfd lost a count");
                drop(own);
                foreign()?;
            }
            nvme.disable(MSIX)
        })
    };
    stock.watch(&[], act).map(drop)
}
