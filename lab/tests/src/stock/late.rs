//! A tracer that starts late has the same state as one that ran from the start.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use remap_core::event::{Body, Origin};
use remap_core::parse::region::Area;
use remap_user::vfio::device::{Action, Data};

use super::Tests;
use super::irq::VECTORS;
use crate::rig::judge::ledger::Ledger;
use crate::rig::judge::sentence::{self, Place, Whence, signal};
use crate::rig::line::{Lines, Named};
use crate::rig::now;
use crate::rig::stock::Stock;
use crate::rig::trace::Trace;
use crate::rig::vmm::Vmm;
use crate::rig::vmm::assigned::{Assigned, ERR, INTX, MSI, MSIX, REQ};
use crate::rig::vmm::sys::PAGE;

pub const TESTS: Tests = &[("stock::late::a_late_tracer_equals_an_early_one", equals)];

/// Counted sentences.
type Counts = BTreeMap<String, i64>;

/// The devices, eventfds, and mappings with their addresses and pids, whatever the origin.
fn picture<'a>(events: impl Iterator<Item = Named<'a>>) -> Result<Counts> {
    let mut counts = Counts::new();
    for (device, event) in events {
        let owner = match &event.body {
            Body::Device(_) | Body::Context(_) => String::new(),
            Body::Map(map) => format!(" at {} of {}", map.place.address, event.task.pid),
            _ => continue,
        };
        let sentence = sentence::of((device, event))?.context("no sentence")?;
        let (sentence, _) = sentence.rsplit_once(", ").context("no origin")?;
        *counts.entry(sentence.to_owned() + &owner).or_default() += 1;
    }
    Ok(counts)
}

/// Whether an event is about what was there when the trace began.
fn is_found((_, event): &Named<'_>) -> bool {
    let origin = match &event.body {
        Body::Device(seen) => seen.origin,
        Body::Context(context) => context.origin,
        Body::Map(map) => map.origin,
        _ => return false,
    };
    origin == Origin::Found
}

fn same(what: &str, one: &Counts, other: &Counts) -> Result<()> {
    let mut difference = one.clone();
    for (sentence, times) in other {
        *difference.entry(sentence.clone()).or_default() -= times;
    }
    difference.retain(|_, times| *times != 0);
    ensure!(difference.is_empty(), "{what}: {difference:#?}");
    Ok(())
}

/// The state of a VMM: one device with INTx, one with MSI, one with 65 vectors.
struct Machine<'a> {
    vmm: Vmm<'a>,
    edu: Assigned<'a>,
    nvme: Assigned<'a>,
    nic: Assigned<'a>,
}

impl<'a> Machine<'a> {
    fn new(stock: &Stock, ledger: &'a Ledger) -> Result<Self> {
        let mut vmm = Vmm::new(ledger)?;
        let mut edu = vmm.assign(stock.edu)?;
        let mut nvme = vmm.assign(stock.nvme)?;
        let mut nic = vmm.assign(stock.nic)?;
        edu.enable(INTX, 1)?;
        edu.enable_unmask(INTX)?;
        edu.enable(REQ, 1)?;
        nvme.enable(MSIX, VECTORS)?;
        nvme.enable(ERR, 1)?;
        nvme.enable(REQ, 1)?;
        nic.enable(MSI, 1)?;
        nic.enable(ERR, 1)?;
        // What was there for a while, and is not any more.
        nic.enable(REQ, 1)?;
        for (device, regions) in [
            (&mut edu, [0].as_slice()),
            (&mut nvme, &[0, 2, 4]),
            (&mut nic, &[0, 1, 3]),
        ] {
            for index in regions {
                let region = device.region(*index)?;
                for area in region.areas.iter().copied() {
                    device.map(&region, area)?;
                    let size = PAGE.min(area.size);
                    device.map(&region, Area { size, ..area })?;
                }
            }
        }
        Ok(Self {
            vmm,
            edu,
            nvme,
            nic,
        })
    }

    /// Uses all of it, and closes it.
    fn used(self) -> Result<()> {
        let Self {
            vmm,
            edu,
            nvme,
            nic,
        } = self;
        edu.trigger(INTX, 0, 3)?;
        edu.read(Place::trigger(INTX, 0), 3)?;
        let unmask = Place::unmask(INTX, 0);
        edu.set_irqs(INTX, 0, Action::Mask, Data::None(1))?;
        edu.eventfd(unmask)?.write(1)?;
        edu.happened(1, format_args!("{unmask}: kernel took 1"));
        edu.happened(1, format_args!("{unmask}: wrote 1"));
        nvme.set_irqs(MSIX, 0, Action::Trigger, Data::None(VECTORS))?;
        for sub in 0..VECTORS {
            let place = Place::trigger(MSIX, sub);
            nvme.happened(1, signal(place, Whence::Inside));
            nvme.trigger(MSIX, sub, i64::from(sub % 3))?;
            nvme.read(place, 1 + u64::from(sub % 3))?;
        }
        for (device, index) in [
            (&nvme, ERR),
            (&nvme, REQ),
            (&nic, MSI),
            (&nic, ERR),
            (&nic, REQ),
            (&edu, REQ),
        ] {
            device.trigger(index, 0, 2)?;
            device.read(Place::trigger(index, 0), 2)?;
            device.disable(index)?;
        }
        edu.close()?;
        nvme.close()?;
        nic.close()?;
        vmm.close();
        Ok(())
    }
}

/// Two tracers start, one after the other, beside a running VMM. Each finds the state that the early
/// tracer has; from then on the second traces the same as the early one.
fn equals(stock: &mut Stock) -> Result<()> {
    let mut late: Vec<Lines> = Vec::new();
    let mut attached_ns = 0;
    let act = |stock: &mut Stock, ledger: &Ledger| {
        let machine = Machine::new(stock, ledger)?;
        let first = Trace::start(&["--events"])?.end(0)?;
        first.found(&[])?;
        late.push(first.lines);
        let second = Trace::start(&["--events"])?;
        attached_ns = now()?;
        machine.used()?;
        let second = second.end(0)?;
        second.found(&[])?;
        late.push(second.lines);
        Ok(())
    };
    let early = stock.watch(&[], act)?;
    let before = |(_, event): &Named<'_>| event.time_ns < attached_ns;
    let there = picture(early.named_events().filter(before))?;
    ensure!(
        there.len() > 80,
        "only {} devices, eventfds and mappings",
        there.len()
    );
    for (number, lines) in late.iter().enumerate() {
        let found = picture(lines.named_events().filter(is_found))?;
        same(&format!("late tracer {number}"), &found, &there)?;
    }
    let [_, second] = late.as_slice() else {
        anyhow::bail!("{} traces", late.len());
    };
    let since = early.named_events().filter(|event| !before(event));
    let traced = second.named_events().filter(|event| !is_found(event));
    same("traced since", &counted(traced)?, &counted(since)?)
}

/// How often each sentence is true of the events.
fn counted<'a>(events: impl Iterator<Item = Named<'a>>) -> Result<Counts> {
    let mut counts = Counts::new();
    for sentence in sentence::all(events)? {
        *counts.entry(sentence).or_default() += 1;
    }
    Ok(counts)
}
