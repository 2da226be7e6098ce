//! Interrupts: `SET_IRQS` of every kind, signals by software and by a device, consumers of the signals.

use anyhow::{Context, Result, ensure};
use remap_core::event::Body;
use remap_user::vfio::device::{Action, Data};

use super::Tests;
use crate::rig::driver::busybox;
use crate::rig::judge::ledger::Ledger;
use crate::rig::judge::sentence::{Place, Whence, signal};
use crate::rig::stock::Stock;
use crate::rig::vmm::assigned::{Assigned, ERR, INTX, MSI, MSIX, REQ};
use crate::rig::vmm::{Vmm, edu, open, sys};

pub const TESTS: Tests = &[
    ("stock::irq::every_kind_of_set_irqs", set_irqs),
    ("stock::irq::intx_of_a_device", intx),
    ("stock::irq::msi_of_a_device", msi),
    ("stock::irq::sixty_five_vectors", vectors),
    ("stock::irq::consumed_by_kvm", irqfd),
    ("stock::irq::req_at_an_unbind", req),
];

/// Every action, with every kind of data, on every index for which the kernel has it.
fn set_irqs(stock: &mut Stock) -> Result<()> {
    let nic = stock.nic;
    stock
        .watch_one(nic, &[], |_, nic| {
            for index in [INTX, MSI, MSIX, ERR, REQ] {
                kinds(nic, index).with_context(|| format!("IRQ {index}"))?;
            }
            Ok(())
        })
        .map(drop)
}

fn kinds(nic: &mut Assigned<'_>, index: u32) -> Result<()> {
    let count = if index == MSIX { 5 } else { 1 };
    let last = count - 1;
    nic.enable(index, count)?;
    nic.trigger(index, last, 2)?;
    let place = Place::trigger(index, last);
    nic.read(place, 2)?;
    // A bool of false does nothing, one of true triggers.
    let no = vec![false; usize::try_from(count)?];
    nic.set_irqs(index, 0, Action::Trigger, Data::Bool(&no))?;
    nic.set_irqs(index, last, Action::Trigger, Data::Bool(&[true]))?;
    nic.happened(1, signal(place, Whence::Inside));
    nic.read(place, 1)?;
    if index == INTX {
        nic.set_irqs(index, 0, Action::Mask, Data::None(1))?;
        nic.set_irqs(index, 0, Action::Unmask, Data::None(1))?;
        nic.set_irqs(index, 0, Action::Mask, Data::Bool(&[true]))?;
        nic.set_irqs(index, 0, Action::Unmask, Data::Bool(&[true]))?;
        unmask_by_eventfd(nic)?;
    }
    // The counter is 0 again.
    ensure!(nic.eventfd(place)?.read()?.is_none(), "one count too many");
    nic.happened(1, format_args!("{place}: read EAGAIN"));
    nic.disable(index)?;
    nic.forget(index);
    Ok(())
}

/// An unmask eventfd: the kernel consumes what is written to it.
fn unmask_by_eventfd(nic: &mut Assigned<'_>) -> Result<()> {
    let place = Place::unmask(INTX, 0);
    nic.enable_unmask(INTX)?;
    for _ in 0..3 {
        nic.set_irqs(INTX, 0, Action::Mask, Data::None(1))?;
        nic.eventfd(place)?.write(1)?;
        nic.happened(1, format_args!("{place}: kernel took 1"));
        nic.happened(1, format_args!("{place}: wrote 1"));
    }
    nic.set_irqs(INTX, 0, Action::Unmask, Data::Eventfd(&[None]))
}

fn intx(stock: &mut Stock) -> Result<()> {
    let edu = stock.edu;
    stock.watch_one(edu, &[], |_, edu| edu::intx(edu)).map(drop)
}

fn msi(stock: &mut Stock) -> Result<()> {
    let edu = stock.edu;
    stock.watch_one(edu, &[], |_, edu| edu::msi(edu)).map(drop)
}

/// As many as the lab's NVMe controller has.
pub const VECTORS: u32 = 65;

/// Each vector is signalled another number of times.
fn vectors(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    stock
        .watch_one(nvme, &[], |_, nvme| {
            nvme.enable(MSIX, VECTORS)?;
            // All of them at once.
            nvme.set_irqs(MSIX, 0, Action::Trigger, Data::None(VECTORS))?;
            for sub in 0..VECTORS {
                let place = Place::trigger(MSIX, sub);
                nvme.happened(1, signal(place, Whence::Inside));
                let more = sub % 4;
                nvme.trigger(MSIX, sub, more.into())?;
                nvme.read(place, 1 + u64::from(more))?;
            }
            // One call replaces all eventfds, another removes most of them; uses of the old ones are not
            // traced.
            let old = nvme.replace(MSIX, VECTORS)?;
            for eventfd in &old {
                eventfd.write(1)?;
                ensure!(eventfd.read()? == Some(1), "an eventfd lost a count");
            }
            drop(old);
            nvme.trigger(MSIX, VECTORS - 1, 1)?;
            nvme.read(Place::trigger(MSIX, VECTORS - 1), 1)?;
            let kept = 20..VECTORS - 1;
            let none = vec![None; kept.len()];
            nvme.set_irqs(MSIX, kept.start, Action::Trigger, Data::Eventfd(&none))?;
            for sub in kept {
                let eventfd = nvme.eventfd(Place::trigger(MSIX, sub))?;
                eventfd.write(1)?;
                ensure!(eventfd.read()? == Some(1), "an eventfd lost a count");
            }
            // Two lose their eventfd: they are not signalled.
            nvme.set_irqs(MSIX, 10, Action::Trigger, Data::Eventfd(&[None, None]))?;
            nvme.set_irqs(MSIX, 8, Action::Trigger, Data::None(4))?;
            for sub in [8, 9] {
                let place = Place::trigger(MSIX, sub);
                nvme.happened(1, signal(place, Whence::Inside));
                nvme.read(place, 1)?;
            }
            nvme.disable(MSIX)
        })
        .map(drop)
}

/// KVM's irqfd consumes every count: there is no read, and no finding.
fn irqfd(stock: &mut Stock) -> Result<()> {
    let nvme = stock.nvme;
    busybox(&["modprobe", "kvm-amd"]).context("loading KVM")?;
    stock
        .watch_one(nvme, &[], |_, nvme| {
            use std::os::fd::AsFd;
            let kvm = open("/dev/kvm")?;
            let vm = sys::create_vm(kvm.as_fd()).context("KVM_CREATE_VM")?;
            nvme.enable(MSIX, 4)?;
            for sub in 0..4 {
                let place = Place::trigger(MSIX, sub);
                sys::irqfd(vm.as_fd(), nvme.eventfd(place)?.as_fd(), 5 + sub)
                    .context("KVM_IRQFD")?;
                let times = i64::from(3 * sub);
                nvme.trigger(MSIX, sub, times)?;
                nvme.happened(times, format_args!("{place}: kernel took 1"));
            }
            nvme.disable(MSIX)
        })
        .map(drop)
}

/// An unbind signals the REQ interrupt; the user then closes the device.
fn req(stock: &mut Stock) -> Result<()> {
    let nic = stock.nic;
    let device = format!("/sys/bus/pci/devices/{nic}");
    let act = |_: &mut Stock, ledger: &Ledger| {
        let mut vmm = Vmm::new(ledger)?;
        let mut assigned = vmm.assign(nic)?;
        assigned.enable(REQ, 1)?;
        let (file, name) = (format!("{device}/driver/unbind"), nic.to_string());
        let unbind = std::thread::spawn(move || std::fs::write(file, name));
        assigned.signalled(Place::trigger(REQ, 0), Whence::Outside)?;
        let group = assigned.release()?.context("no group")?;
        let unbound = unbind.join();
        ensure!(matches!(unbound, Ok(Ok(()))), "unbinding: {unbound:?}");
        // The group has no device any more, and keeps its number.
        group.close();
        vmm.close();
        std::fs::write("/sys/bus/pci/drivers_probe", nic.to_string())?;
        Ok(())
    };
    let lines = stock.watch(&[], act)?;
    let asked = lines.named_events().filter_map(|(device, event)| {
        let Body::Request { count, .. } = event.body else {
            return None;
        };
        (device == Some(nic.to_string().as_str())).then_some(count)
    });
    let asked: Vec<u32> = asked.collect();
    ensure!(asked.first() == Some(&0), "the kernel asked {asked:?}");
    Ok(())
}
