//! Modules that go and come again under a tracer.

use std::fs;

use anyhow::{Context, Result, ensure};
use remap_user::vfio::sysfs::Bdf;

use super::Body;
use super::irq::with;
use super::rig::Stock;
use crate::ledger::Ledger;
use crate::rig::driver::busybox;
use crate::rig::until;
use crate::vmm::assigned::MSIX;
use crate::words::Place;

pub const TESTS: &[(&str, Body)] = &[("stock::modules::reloaded", reloaded)];

/// Every module that the devices need, each before what it stands on.
const MODULES: [&str; 6] = [
    "remap_ref",
    "vfio_pci",
    "vfio_pci_core",
    "vfio_iommu_type1",
    "vfio",
    "vfio_virqfd",
];

/// The probes of these modules' functions: what kind, where, and how often.
fn probes() -> Result<Vec<String>> {
    let list = fs::read_to_string("/sys/kernel/debug/kprobes/list")?;
    // ADDRESS TYPE FUNCTION+OFFSET MODULE [FLAG]…: the address is another one each time.
    let ours = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, kind, place, module, ..] = words.as_slice() else {
            return None;
        };
        let known = MODULES.contains(&module.replace('-', "_").as_str());
        (known && !line.contains("[GONE]")).then(|| format!("{kind} {place}"))
    };
    let mut probes: Vec<String> = list.lines().filter_map(ours).collect();
    probes.sort_unstable();
    Ok(probes)
}

fn use_it(ledger: &Ledger, nvme: Bdf) -> Result<()> {
    with(ledger, nvme, |_, nvme| {
        nvme.enable(MSIX, 3)?;
        nvme.trigger(MSIX, 2, 5)?;
        nvme.read(Place::trigger(MSIX, 2), 5)?;
        nvme.disable(MSIX)
    })
}

fn is_loaded(module: &str) -> bool {
    fs::exists(format!("/sys/module/{module}")).unwrap_or(false)
}

/// What is traced before is traced again when everything has been unloaded and loaded.
fn reloaded(stock: &mut Stock) -> Result<()> {
    let devices = [stock.edu, stock.nvme, stock.nic];
    let nvme = stock.nvme;
    let act = |_: &mut Stock, ledger: &Ledger| {
        use_it(ledger, nvme)?;
        let before = probes()?;
        ensure!(!before.is_empty(), "nothing is probed");
        for bdf in devices {
            let driver = format!("/sys/bus/pci/devices/{bdf}/driver/unbind");
            fs::write(&driver, bdf.to_string()).with_context(|| driver.clone())?;
        }
        for module in MODULES.into_iter().filter(|module| is_loaded(module)) {
            busybox(&["rmmod", module])?;
        }
        ensure!(!is_loaded("vfio"), "vfio is loaded");
        for module in ["vfio_iommu_type1", "vfio_pci"] {
            busybox(&["modprobe", module])?;
        }
        busybox(&["insmod", "/lib/remap/remap_ref.ko"])?;
        for bdf in devices {
            fs::write("/sys/bus/pci/drivers_probe", bdf.to_string())?;
        }
        until("the tracer to probe what came again", || {
            Ok((probes()? == before).then_some(()))
        })?;
        use_it(ledger, nvme)
    };
    stock.watch(&[], act).map(drop)
}
