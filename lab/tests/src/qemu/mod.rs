//! A real VMM: an unmodified QEMU migrates a virtual machine with its device, on KVM, between two
//! devices of the lab.

mod clock;
mod firmware;
mod judge;
mod log;
mod qmp;
mod scenario;
mod story;
mod teller;
mod timeline;
mod vm;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use crate::rig::Lab;
use crate::rig::trace::{Downtime, Lines, Trace, Traced, Zap};
use crate::{QEMU, Test};
use judge::{Agreement, judge};
use story::{Story, Tale};
use teller::Hosts;
use vm::Ended;

pub use scenario::{OPTION, play};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("qemu::migrates_there_and_back", QEMU, there_and_back),
        Test::new("qemu::migrates_untrapped", QEMU, untrapped),
        Test::new("qemu::cancels", QEMU, cancels),
        Test::new("qemu::survives_its_destination", QEMU, survives),
        Test::new("qemu::is_refused", QEMU, refused),
        Test::new("qemu::lost_registers_are_noticed", QEMU, lost_registers),
        Test::new("qemu::a_machine_is_picked_by_name", QEMU, picked),
    ]
}

/// A story that was told, what the tracer said of it, and what all agree on.
struct Told {
    story: Story,
    lines: Lines,
    agreement: Agreement,
}

/// Has a story told beside the tracer, and the three who saw it compared.
fn told(lab: &mut Lab, tale: &'static Tale) -> Result<(Told, &'static Ways)> {
    let mut hosts = Hosts::new()?;
    let ways = Ways::of(&hosts);
    let (story, lines) = lab.watch(|_| tale.told(&mut hosts))?;
    hosts.clean()?;
    let agreement = judge(&story, &lines).context(tale.title)?;
    Ok((
        Told {
            story,
            lines,
            agreement,
        },
        ways,
    ))
}

/// The states of a device whose virtual machine boots, leaves, comes and ends.
const BOOTS: [&str; 2] = ["RUNNING_P2P", "RUNNING"];
const COMES: [&str; 3] = ["RESUMING", "RUNNING_P2P", "RUNNING"];
const ENDS: [&str; 2] = ["RUNNING_P2P", "STOP"];

/// What depends on whether a device is saved while its virtual machine still runs.
struct Ways {
    /// The states of a device whose virtual machine leaves.
    leaves: &'static [&'static str],
    /// Those of one whose migration comes to nothing half way: it goes on.
    stays: &'static [&'static str],
    /// Those of one that is refused.
    refused: &'static [&'static str],
    /// Whether what is revoked is touched again.
    faults: bool,
}

impl Ways {
    fn of(hosts: &Hosts) -> &'static Self {
        if hosts.precopy {
            &WITH_PRECOPY
        } else {
            &WITHOUT_PRECOPY
        }
    }
}

static WITH_PRECOPY: Ways = Ways {
    leaves: &["PRE_COPY", "PRE_COPY_P2P", "STOP_COPY", "STOP"],
    stays: &["PRE_COPY", "RUNNING"],
    refused: &["RUNNING"],
    faults: true,
};

static WITHOUT_PRECOPY: Ways = Ways {
    leaves: &["RUNNING_P2P", "STOP", "STOP_COPY", "STOP"],
    stays: &[],
    refused: &["RUNNING_P2P", "STOP", "STOP", "RUNNING_P2P", "RUNNING"],
    faults: false,
};

/// The states that a virtual machine's device went through, as its QEMU has it.
fn states(vm: &Ended) -> Vec<&str> {
    let states = vm.log.iter().filter_map(|line| match &line.kind {
        log::Kind::Is { state } => Some(state.as_str()),
        log::Kind::Ask { .. } => None,
    });
    states.collect()
}

fn went(story: &Story, expected: &[&[&[&str]]]) -> Result<()> {
    let went: Vec<Vec<&str>> = story.vms.iter().map(states).collect();
    let expected: Vec<Vec<&str>> = expected.iter().map(|parts| parts.concat()).collect();
    ensure!(went == expected, "went {went:?} instead of {expected:?}");
    Ok(())
}

/// Beside a tracer that reads QEMU's logs too. What it says that the migrations cost is what the
/// driver and QEMU have counted.
fn there_and_back(_: &mut Lab) -> Result<()> {
    let tale = &story::LIMPING;
    let mut hosts = Hosts::new()?;
    let ways = Ways::of(&hosts);
    let logs: Vec<String> = teller::logs(tale).collect();
    let arguments: Vec<&str> = logs.iter().flat_map(|log| ["--qemu-log", log]).collect();
    let trace = Trace::start(&arguments)?;
    let story = tale.told(&mut hosts)?;
    hosts.clean()?;
    let Traced { lines, summary } = trace.end(0)?;
    summary.lost_nothing()?;
    lines.found(&[])?;
    let agreement = judge(&story, &lines)?;
    ensure!(agreement.failed == 0, "{agreement:?}");
    went(
        &story,
        &[
            &[&BOOTS, ways.leaves],
            &[&COMES, ways.leaves],
            &[&COMES, &ENDS],
        ],
    )?;
    ensure!(story.costs.len() == 2, "{:?}", story.costs);
    for cost in &story.costs {
        // One page of registers, and each of the others, once.
        let expected = if ways.faults {
            [(0, 1), (2, u64::from(firmware::PAGES))].into()
        } else {
            BTreeMap::new()
        };
        ensure!(cost.faults == expected, "{cost:?}");
    }
    costs_agree(&story, &lines)
}

/// Pages that faulted in again, and downtimes: as the tracer has them, and as the others do.
fn costs_agree(story: &Story, lines: &Lines) -> Result<()> {
    let mut zaps: Vec<_> = lines
        .zaps()
        .filter(|zap| zap.cause == "state_change")
        .map(Zap::faults)
        .collect();
    zaps.retain(|faults| !faults.is_empty());
    let mut counted: Vec<_> = story.costs.iter().map(|cost| cost.faults.clone()).collect();
    counted.retain(|faults| !faults.is_empty());
    ensure!(zaps == counted, "traced {zaps:?}, counted {counted:?}");
    let moved: Vec<&Downtime> = lines
        .downtimes()
        .filter(|downtime| downtime.end == "moved")
        .collect();
    ensure!(moved.len() == story.costs.len(), "{moved:#?}");
    for (downtime, cost) in moved.into_iter().zip(&story.costs) {
        let whole = &downtime.whole;
        let ns = whole.end_ns.saturating_sub(whole.begin_ns);
        ensure!(
            downtime.complete && whole.kernel_ns + whole.vmm_ns == ns && whole.kernel_ns > 0,
            "{downtime:#?}"
        );
        // QEMU tells of its stop after the downtime has begun, and of its run before it has ended.
        ensure!(
            ns + downtime.error_ns >= cost.downtime_ns,
            "{downtime:#?} {cost:?}"
        );
    }
    Ok(())
}

fn untrapped(lab: &mut Lab) -> Result<()> {
    let (told, _) = told(lab, &story::UNTRAPPED)?;
    ensure!(told.agreement.failed == 0, "{:?}", told.agreement);
    told.lines.found(&[])?;
    let costs = &told.story.costs;
    ensure!(
        costs.iter().all(|cost| cost.faults.is_empty()) && costs.len() == 2,
        "{costs:?}"
    );
    Ok(())
}

fn cancels(lab: &mut Lab) -> Result<()> {
    let (told, ways) = told(lab, &story::CANCELLED)?;
    ensure!(told.agreement.failed == 0, "{:?}", told.agreement);
    told.lines.found(&[])?;
    went(
        &told.story,
        &[
            &[&["RESUMING"]],
            &[&BOOTS, ways.stays, ways.leaves],
            &[&COMES, &ENDS],
        ],
    )
}

fn survives(lab: &mut Lab) -> Result<()> {
    let (told, ways) = told(lab, &story::KILLED)?;
    ensure!(told.agreement.failed == 0, "{:?}", told.agreement);
    told.lines.found(&[])?;
    went(
        &told.story,
        &[&[&["RESUMING"]], &[&BOOTS, ways.stays, &ENDS]],
    )
}

fn refused(lab: &mut Lab) -> Result<()> {
    let (told, ways) = told(lab, &story::REFUSED)?;
    // QEMU has never asked for the remap IRQ, so nobody can know from outside that this device has
    // one: the refusal is told together with that.
    told.lines.found(&["never-asked"])?;
    ensure!(told.agreement.failed == 1, "{:?}", told.agreement);
    went(
        &told.story,
        &[&[&BOOTS, ways.refused, &ENDS], &[&["RESUMING"]]],
    )
}

fn lost_registers(lab: &mut Lab) -> Result<()> {
    told(lab, &story::LOSSY).map(drop)
}

/// Of two machines only one is asked for, by its name: all that is told is of its device.
fn picked(_: &mut Lab) -> Result<()> {
    let mut hosts = Hosts::new()?;
    let trace = Trace::start(&["--vm", "second"])?;
    let story = story::LOSSY.told(&mut hosts)?;
    hosts.clean()?;
    let traced = trace.end(0)?;
    traced.summary.lost_nothing()?;
    let picked = story.vms.iter().find(|vm| vm.name == "second");
    let picked = &picked.context("no second machine")?.device;
    let told: BTreeSet<&str> = traced
        .lines
        .transitions()
        .map(|line| line.device.as_str())
        .collect();
    ensure!(
        told == BTreeSet::from([picked.as_str()]),
        "told of {told:?}"
    );
    let devices = &traced.summary.devices;
    let names: BTreeSet<Option<&str>> = devices
        .iter()
        .flat_map(|device| device["users"].as_array().into_iter().flatten())
        .map(|user| user["vm"].as_str())
        .collect();
    ensure!(
        names == BTreeSet::from([Some("second")]),
        "used by {names:?}: {devices:#?}"
    );
    Ok(())
}
