//! A device that is opened by its own node and an iommufd, as well as by its group: what it does,
//! what a trace says of it and who is named as its holder are the same.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use remap_user::vfio::open::group_path;
use remap_user::vfio::sysfs::Host;
use rustix::process::Signal;
use serde_json::Value;

use crate::input::listed;
use crate::ledger::Ledger;
use crate::rig::child::{remap, run};
use crate::rig::trace::Trace;
use crate::rig::{Lab, until};
use crate::vmm::assigned::MSIX;
use crate::vmm::node::ByNode;
use crate::vmm::sys::{Memory, PAGE};
use crate::words::Place;
use crate::{CDEV, Test, truth};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("cdev::a_drill_by_node_agrees_with_the_driver", CDEV, drills),
        Test::new("cdev::a_service_by_node_answers", CDEV, serves),
        Test::new("cdev::a_holder_of_the_node_is_named", CDEV, holder),
        Test::new("cdev::a_holder_of_the_group_is_named", CDEV, group_holder),
        Test::new("cdev::without_a_group_the_node_is_taken", CDEV, no_group),
        Test::new("cdev::list_shows_the_node", CDEV, list),
        Test::new("cdev::every_step_by_node_is_counted", CDEV, steps),
    ]
}

/// Enough that both ends of the protocol are used again and again.
const CYCLES: u64 = 25;

fn drills(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--fail-on-loss"])?;
    lab.driver.clear_log()?;
    let (bdf, cycles) = (lab.bdf.to_string(), CYCLES.to_string());
    run(remap(&[
        "drill", &bdf, "--via", "cdev", "--cycles", &cycles,
    ]))?
    .expect(0)?;
    let traced = trace.end(0)?;
    let log = lab.driver.log()?;
    truth::agree(&traced.lines, &log)?;
    let waits = log.waits().len() as u64;
    ensure!(waits == CYCLES, "{waits} waits");
    Ok(())
}

fn serves(lab: &mut Lab) -> Result<()> {
    let ((), told) = lab.watch(|lab| {
        let service = lab.serve(&["--via", "cdev"])?;
        lab.driver.trigger(0x5)?;
        until("the service's acks", || {
            let open = lab.driver.stat("outstanding")? != "0x0";
            Ok((!open).then_some(()))
        })?;
        service.end(Signal::TERM)?.expect(0).map(drop)
    })?;
    told.found(&[])?;
    told.complete()?;
    let mut regions: Vec<_> = told.cycles().map(|cycle| cycle.region).collect();
    regions.sort_unstable();
    ensure!(regions == [0, 2], "{told:#?}");
    Ok(())
}

/// Whoever holds the node: `list` names it, and nobody else gets the device, whichever way.
fn holder(lab: &mut Lab) -> Result<()> {
    held(lab, "cdev")
}

/// The same for the group.
fn group_holder(lab: &mut Lab) -> Result<()> {
    held(lab, "group")
}

fn held(lab: &mut Lab, via: &str) -> Result<()> {
    let service = lab.serve(&["--via", via])?;
    let bdf = lab.bdf.to_string();
    let line = listed(lab)?;
    ensure!(line["holders"][0]["pid"] == service.pid(), "{line}");
    ensure!(line["details"].is_null(), "{line}");
    let name = format!("remap ({})", service.pid());
    for other in ["cdev", "group"] {
        run(remap(&["drill", &bdf, "--via", other]))?
            .says(1, &["busy", &name])
            .with_context(|| format!("held by {via}, asked for by {other}"))?;
    }
    service.end(Signal::TERM)?.expect(0).map(drop)
}

/// A file that is somewhere else for a while.
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
        // Every later test needs it, and says so.
        let _ = fs::rename(&self.to, &self.from);
    }
}

fn no_group(lab: &mut Lab) -> Result<()> {
    let group = Host::default().group(lab.bdf).context("no group")?;
    let bdf = lab.bdf.to_string();
    let _group = Moved::new(group_path(group))?;
    let by_group = run(remap(&["drill", &bdf, "--via", "group"]))?;
    ensure!(!by_group.status.success(), "{by_group:?}");
    run(remap(&["drill", &bdf]))?.expect(0).map(drop)
}

fn list(lab: &mut Lab) -> Result<()> {
    let line: Value = listed(lab)?;
    let node = line["cdev"].as_str().context("no node is listed")?;
    ensure!(fs::exists(node)?, "no such node: {line}");
    Ok(())
}

/// An address on the device's side, and how much is mapped there.
const IOVA: u64 = 1 << 30;
const MEMORY: u64 = 4 * PAGE;
/// Interrupts of the device.
const VECTORS: u32 = 20;

/// A user of the device by its node, step by step; and a tracer that comes late to it, which finds
/// what the one knows that was there before.
fn steps(lab: &mut Lab) -> Result<()> {
    let trace = Trace::start(&["--events"])?;
    let ledger = Ledger::default();
    let node = ByNode::new(lab.bdf, &ledger)?;
    let mut device = node.device()?;
    let region = device.region(2)?;
    for area in region.areas.clone() {
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
    // Of a region an iommufd maps nothing; the trace says so too.
    let mapping = device.mappings().first().context("unmapped")?.address();
    node.map(mapping, IOVA, PAGE);
    let maps = device.mappings().len();
    device.disable(MSIX)?;
    device.leave()?;
    node.close();
    let late = late.end(0)?;
    late.summary.lost_nothing()?;
    late.lines.found(&[])?;
    let found = |kind: &str| {
        let of = |event: &&Value| event["kind"] == kind && event["origin"] == "found";
        late.lines.events().filter(of).count()
    };
    let (devices, contexts) = (found("device"), found("context"));
    ensure!(
        (devices, contexts, found("map")) == (1, VECTORS as usize, maps),
        "{devices} devices, {contexts} eventfds, {} mappings were found",
        found("map")
    );
    let traced = trace.end(0)?;
    traced.summary.lost_nothing()?;
    traced.lines.found(&[])?;
    let events: Vec<Value> = traced.lines.events().cloned().collect();
    ledger.agree(&events)
}
