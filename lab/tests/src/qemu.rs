//! An unmodified QEMU migrates a virtual machine with its assigned device, on KVM, between two
//! devices of the lab.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use remap_core::model::{CauseKind, Rule};
use remap_core::vmm::downtime::{Downtime, End};

use crate::rig::judge::qemu::{Agreement, judge};
use crate::rig::lab::Lab;
use crate::rig::line::{Lines, faults};
use crate::rig::qemu::outcome::Outcome;
use crate::rig::qemu::scenario::{self, Scenario};
use crate::rig::qemu::stage::Hosts;
use crate::rig::qemu::vm::Ended;
use crate::rig::qemu::{firmware, log};
use crate::rig::trace::Trace;
use crate::{QEMU, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("qemu::migrates_there_and_back", QEMU, there_and_back),
        Test::new("qemu::migrates_untrapped", QEMU, untrapped),
        Test::new("qemu::cancels", QEMU, cancels),
        Test::new(
            "qemu::survives_the_death_of_its_destination",
            QEMU,
            survives,
        ),
        Test::new("qemu::is_refused_by_the_driver", QEMU, refused),
        Test::new("qemu::lost_registers_are_noticed", QEMU, lost_registers),
        Test::new("qemu::a_virtual_machine_is_selected_by_name", QEMU, picked),
    ]
}

/// A scenario that was played, the trace of it, and what QEMU, the driver and the tracer agree on.
struct Judged {
    outcome: Outcome,
    lines: Lines,
    agreement: Agreement,
}

/// Plays a scenario beside the tracer, and compares QEMU's trace, the driver's log and the tracer.
fn judged(lab: &mut Lab, scenario: &'static Scenario) -> Result<(Judged, &'static Ways)> {
    let mut hosts = Hosts::new()?;
    let ways = Ways::of(&hosts);
    let (outcome, lines) = lab.watch(|_| scenario.play(&mut hosts))?;
    hosts.clean()?;
    let agreement = judge(&outcome, &lines).context(scenario.title)?;
    Ok((
        Judged {
            outcome,
            lines,
            agreement,
        },
        ways,
    ))
}

/// The states of a device while its virtual machine boots, comes in by migration, and ends.
const BOOTS: [&str; 2] = ["RUNNING_P2P", "RUNNING"];
const COMES: [&str; 3] = ["RESUMING", "RUNNING_P2P", "RUNNING"];
const ENDS: [&str; 2] = ["RUNNING_P2P", "STOP"];

/// What depends on whether a device is saved while its virtual machine still runs.
struct Ways {
    /// The states of a device while its virtual machine migrates away.
    leaves: &'static [&'static str],
    /// Those while its migration fails half way, and the virtual machine continues.
    stays: &'static [&'static str],
    /// Those while the driver refuses the migration.
    refused: &'static [&'static str],
    /// Whether the firmware touches what is revoked.
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

/// The states of a virtual machine's device, by QEMU's trace.
fn states(vm: &Ended) -> Vec<&str> {
    let states = vm.log.iter().filter_map(|line| match &line.kind {
        log::Kind::Is { state } => Some(state.as_str()),
        log::Kind::Ask { .. } => None,
    });
    states.collect()
}

fn went(outcome: &Outcome, expected: &[&[&[&str]]]) -> Result<()> {
    let went: Vec<Vec<&str>> = outcome.vms.iter().map(states).collect();
    let expected: Vec<Vec<&str>> = expected.iter().map(|parts| parts.concat()).collect();
    ensure!(went == expected, "went {went:?} instead of {expected:?}");
    Ok(())
}

/// Beside a tracer that also reads QEMU's logs. The faults and downtimes that it reports agree with
/// what the driver and QEMU have counted.
fn there_and_back(_: &mut Lab) -> Result<()> {
    let scenario = &scenario::LIMPING;
    let mut hosts = Hosts::new()?;
    let ways = Ways::of(&hosts);
    let logs: Vec<String> = scenario.logs().collect();
    let arguments: Vec<&str> = logs.iter().flat_map(|log| ["--qemu-log", log]).collect();
    let trace = Trace::start(&arguments)?;
    let outcome = scenario.play(&mut hosts)?;
    hosts.clean()?;
    let traced = trace.end(0)?;
    traced.found(&[])?;
    let lines = traced.lines;
    let agreement = judge(&outcome, &lines)?;
    ensure!(agreement.failed == 0, "{agreement:?}");
    went(
        &outcome,
        &[
            &[&BOOTS, ways.leaves],
            &[&COMES, ways.leaves],
            &[&COMES, &ENDS],
        ],
    )?;
    ensure!(outcome.costs.len() == 2, "{:?}", outcome.costs);
    for cost in &outcome.costs {
        // One page of registers, and each of the others, once.
        let expected = if ways.faults {
            [(0, 1), (2, u64::from(firmware::PAGES))].into()
        } else {
            BTreeMap::new()
        };
        ensure!(cost.faults == expected, "{cost:?}");
    }
    costs_agree(&outcome, &lines)
}

/// Compares the pages that faulted in again, and the downtimes.
fn costs_agree(outcome: &Outcome, lines: &Lines) -> Result<()> {
    let mut zaps: Vec<_> = lines
        .zaps()
        .filter(|zap| zap.cause.kind == CauseKind::StateChange)
        .map(faults)
        .collect();
    zaps.retain(|faults| !faults.is_empty());
    let mut counted: Vec<_> = outcome
        .costs
        .iter()
        .map(|cost| cost.faults.clone())
        .collect();
    counted.retain(|faults| !faults.is_empty());
    ensure!(zaps == counted, "traced {zaps:?}, counted {counted:?}");
    let moved: Vec<&Downtime> = lines
        .downtimes()
        .filter(|downtime| downtime.end == End::Moved)
        .collect();
    ensure!(moved.len() == outcome.costs.len(), "{moved:#?}");
    for (downtime, cost) in moved.into_iter().zip(&outcome.costs) {
        let whole = &downtime.total;
        let (ns, kernel_ns) = (whole.duration(), whole.kernel_ns());
        ensure!(
            downtime.complete && kernel_ns + whole.vmm_ns() == ns && kernel_ns > 0,
            "{downtime:#?}"
        );
        // QEMU emits STOP after the downtime has begun, and RESUME before it has ended.
        ensure!(
            ns + downtime.error_ns >= cost.downtime_ns,
            "{downtime:#?} {cost:?}"
        );
    }
    Ok(())
}

fn untrapped(lab: &mut Lab) -> Result<()> {
    let (judged, _) = judged(lab, &scenario::UNTRAPPED)?;
    ensure!(judged.agreement.failed == 0, "{:?}", judged.agreement);
    judged.lines.found(&[])?;
    let costs = &judged.outcome.costs;
    ensure!(
        costs.iter().all(|cost| cost.faults.is_empty()) && costs.len() == 2,
        "{costs:?}"
    );
    Ok(())
}

fn cancels(lab: &mut Lab) -> Result<()> {
    let (judged, ways) = judged(lab, &scenario::CANCELLED)?;
    ensure!(judged.agreement.failed == 0, "{:?}", judged.agreement);
    judged.lines.found(&[])?;
    went(
        &judged.outcome,
        &[
            &[&["RESUMING"]],
            &[&BOOTS, ways.stays, ways.leaves],
            &[&COMES, &ENDS],
        ],
    )
}

fn survives(lab: &mut Lab) -> Result<()> {
    let (judged, ways) = judged(lab, &scenario::KILLED)?;
    ensure!(judged.agreement.failed == 0, "{:?}", judged.agreement);
    judged.lines.found(&[])?;
    went(
        &judged.outcome,
        &[&[&["RESUMING"]], &[&BOOTS, ways.stays, &ENDS]],
    )
}

fn refused(lab: &mut Lab) -> Result<()> {
    let (judged, ways) = judged(lab, &scenario::REFUSED)?;
    // QEMU has not queried the remap IRQ, so that the tracer cannot see that the device has one: the
    // finding names both possible reasons.
    judged.lines.found(&[Rule::NeverAsked])?;
    ensure!(judged.agreement.failed == 1, "{:?}", judged.agreement);
    went(
        &judged.outcome,
        &[&[&BOOTS, ways.refused, &ENDS], &[&["RESUMING"]]],
    )
}

fn lost_registers(lab: &mut Lab) -> Result<()> {
    judged(lab, &scenario::LOSSY).map(drop)
}

/// `--vm` selects one of two virtual machines: every line is about its device.
fn picked(_: &mut Lab) -> Result<()> {
    let mut hosts = Hosts::new()?;
    let trace = Trace::start(&["--vm", "second"])?;
    let outcome = scenario::LOSSY.play(&mut hosts)?;
    hosts.clean()?;
    let traced = trace.end(0)?;
    traced.lost_nothing()?;
    let picked = outcome.vms.iter().find(|vm| vm.name == "second");
    let picked = &picked.context("no second machine")?.device;
    let devices: BTreeSet<&str> = traced
        .lines
        .transitions()
        .map(|line| line.device.as_str())
        .collect();
    ensure!(
        devices == BTreeSet::from([picked.as_str()]),
        "lines about {devices:?}"
    );
    let devices = &traced.summary.stats.devices;
    let users = devices.values().flat_map(|device| &device.users);
    let names: BTreeSet<_> = users.map(|user| user.vm.as_deref()).collect();
    ensure!(
        names == BTreeSet::from([Some("second")]),
        "used by {names:?}: {devices:#?}"
    );
    Ok(())
}
