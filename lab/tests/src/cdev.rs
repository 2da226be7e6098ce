//! A device that is opened by its cdev and an iommufd: it behaves, is traced and has its holder
//! named as if it were opened by its group.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use remap_core::event::{Body, Origin};
use remap_user::vfio::open::group_path;
use remap_user::vfio::sysfs::Host;
use rustix::process::Signal;
use serde_json::Value;

use crate::input::listed;
use crate::rig::judge::driver;
use crate::rig::judge::ledger::Ledger;
use crate::rig::judge::sentence::Place;
use crate::rig::lab::Lab;
use crate::rig::trace::Trace;
use crate::rig::vmm::assigned::MSIX;
use crate::rig::vmm::node::ByNode;
use crate::rig::vmm::sys::{Memory, PAGE};
use crate::{CDEV, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("cdev::a_drill_by_cdev_agrees_with_the_driver", CDEV, drills),
        Test::new("cdev::serve_by_cdev_answers", CDEV, serves),
        Test::new("cdev::a_holder_of_the_cdev_is_named", CDEV, holder),
        Test::new("cdev::a_holder_of_the_group_is_named", CDEV, group_holder),
        Test::new("cdev::without_a_group_the_cdev_is_used", CDEV, no_group),
        Test::new("cdev::list_shows_the_cdev", CDEV, list),
        Test::new("cdev::every_step_by_cdev_is_counted", CDEV, steps),
    ]
}

/// Enough to use both ends of the protocol repeatedly.
const CYCLES: u64 = 25;

fn drills(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--fail-on-loss"])?;
    lab.driver.clear_log()?;
    lab.drill(&["--via", "cdev", "--cycles", &CYCLES.to_string()])?
        .expect(0)?;
    let traced = trace.end(0)?;
    let log = lab.driver.log()?;
    driver::agree(&traced.lines, &log)?;
    let waits = log.waits().len() as u64;
    ensure!(waits == CYCLES, "{waits} waits");
    Ok(())
}

fn serves(lab: &mut Lab) -> Result<()> {
    let ((), lines) = lab.watch(|lab| {
        let service = lab.serve(&["--via", "cdev"])?;
        lab.driver.trigger(0x5)?;
        lab.driver.settle()?;
        service.end(Signal::TERM)?.expect(0).map(drop)
    })?;
    lines.found(&[])?;
    lines.complete()?;
    let mut regions: Vec<_> = lines.cycles().map(|cycle| cycle.region).collect();
    regions.sort_unstable();
    ensure!(regions == [0, 2], "{lines:#?}");
    Ok(())
}

/// `list` names the process that holds the cdev, and no other process can open the device by cdev
/// or group.
fn holder(lab: &mut Lab) -> Result<()> {
    held(lab, "cdev")
}

/// The same for the process that holds the group.
fn group_holder(lab: &mut Lab) -> Result<()> {
    held(lab, "group")
}

fn held(lab: &mut Lab, via: &str) -> Result<()> {
    let service = lab.serve(&["--via", via])?;
    let line = listed(lab)?;
    ensure!(line["holders"][0]["pid"] == service.pid(), "{line}");
    ensure!(line["details"].is_null(), "{line}");
    let name = format!("remap ({})", service.pid());
    for other in ["cdev", "group"] {
        lab.drill(&["--via", other])?
            .fails(1, &["busy", &name])
            .with_context(|| format!("held by {via}, opened by {other}"))?;
    }
    service.end(Signal::TERM)?.expect(0).map(drop)
}

/// A file that is renamed until this is dropped.
struct Moved {
    from: PathBuf,
    to: PathBuf,
}

impl Moved {
    fn new(from: PathBuf) -> Result<Self> {
        let to = from.with_extension("away");
        fs::rename(&from, &to).with_context(|| format!("moving {}", from.display()))?;
        Ok(Self { from, to })
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        // If that fails, every later test fails.
        let _ = fs::rename(&self.to, &self.from);
    }
}

fn no_group(lab: &mut Lab) -> Result<()> {
    let group = Host::default().group(lab.bdf).context("no group")?;
    let _group = Moved::new(group_path(group))?;
    let by_group = lab.drill(&["--via", "group"])?;
    ensure!(!by_group.status.success(), "{by_group:?}");
    lab.drill(&[])?.expect(0).map(drop)
}

fn list(lab: &mut Lab) -> Result<()> {
    let line: Value = listed(lab)?;
    let node = line["cdev"].as_str().context("no cdev is listed")?;
    ensure!(fs::exists(node)?, "no such cdev: {line}");
    Ok(())
}

/// An IOVA, and the bytes that are mapped there.
const IOVA: u64 = 1 << 30;
const MEMORY: u64 = 4 * PAGE;
/// Interrupts of the device.
const VECTORS: u32 = 20;

/// A user of the device by its cdev, step by step, beside two tracers: one from before the open, and
/// one that starts later and finds the device, its eventfds and its mappings.
fn steps(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--events"])?;
    let ledger = Ledger::default();
    let node = ByNode::new(lab.bdf, &ledger)?;
    let mut device = node.device()?;
    let region = device.region(2)?;
    for area in region.areas.iter().copied() {
        device.map(&region, area)?;
    }
    device.enable(MSIX, VECTORS)?;
    let late = Trace::start(&["--events"])?;
    for sub in 0..VECTORS {
        device.trigger(MSIX, sub, 1)?;
        device.read(Place::trigger(MSIX, sub), 1)?;
    }
    let memory = Memory::new(usize::try_from(MEMORY)?)?;
    node.map(memory.address(), IOVA, MEMORY);
    node.unmap(IOVA, MEMORY)?;
    // An iommufd refuses to map a region; the trace has the refusal.
    let mapping = device.mappings().first().context("unmapped")?.address();
    node.map(mapping, IOVA, PAGE);
    let maps = device.mappings().len();
    device.disable(MSIX)?;
    device.leave()?;
    node.close();
    let late = late.end(0)?;
    late.found(&[])?;
    let (mut devices, mut contexts, mut mappings) = (0, 0, 0);
    for event in late.lines.events() {
        match &event.body {
            Body::Device(seen) if seen.origin == Origin::Found => devices += 1,
            Body::Context(context) if context.origin == Origin::Found => contexts += 1,
            Body::Map(map) if map.origin == Origin::Found => mappings += 1,
            _ => {}
        }
    }
    ensure!(
        (devices, contexts, mappings) == (1, VECTORS, maps),
        "{devices} devices, {contexts} eventfds, {mappings} mappings were found"
    );
    let traced = trace.end(0)?;
    traced.found(&[])?;
    ledger.agree(&traced.lines)
}
