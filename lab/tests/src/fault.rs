//! The driver's faults: each gives its finding and no other; drill and serve survive it.

use anyhow::{Context, Result, ensure};
use remap_core::event::Errno;
use remap_core::model::Rule;
use rustix::process::Signal;

use crate::rig::SHORT_MS;
use crate::rig::lab::Lab;
use crate::rig::log::Kind;
use crate::rig::process::{remap, run};
use crate::rig::suite::Group;
use crate::{ALL, BITMAP, Test, VECTORS};

/// A fault, and its effects.
#[derive(Clone, Copy)]
struct Case {
    /// As it is armed.
    fault: &'static str,
    groups: &'static [Group],
    /// The rule of the finding during a drill; `None`: no finding.
    rule: Option<Rule>,
    /// The drill's exit code.
    exit: i32,
    /// How `remap serve` reacts.
    serve: Serve,
}

/// How `remap serve` reacts to a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serve {
    /// It does not start, and prints the reason.
    Refuses,
    /// It answers triggers as without the fault.
    Answers,
}

const fn case(
    fault: &'static str,
    groups: &'static [Group],
    rule: Option<Rule>,
    exit: i32,
) -> Case {
    Case {
        fault,
        groups,
        rule,
        exit,
        serve: Serve::Answers,
    }
}

/// A malformed chain that `remap serve` reads at its start.
const fn refused(fault: &'static str, rule: Rule) -> Case {
    Case {
        serve: Serve::Refuses,
        ..case(fault, ALL, Some(rule), 1)
    }
}

const REGION: Rule = Rule::MalformedRegionInfo;
const IRQ: Rule = Rule::MalformedIrqInfo;

/// Region 2 has a capability chain while it is trapped, region 9 always. A drill that cannot remap a
/// region, or whose trigger names a region outside the mask, prints that and exits with 1.
const CASES: &[Case] = &[
    // The counter is the sum of both signals, which is another bitmap.
    case("double-signal", BITMAP, Some(Rule::AliasedTrigger), 1),
    case("name-unchanged", ALL, Some(Rule::NamedUnchanged), 0),
    case("name-missing", ALL, Some(Rule::OutsideMask), 1),
    case("outside", ALL, Some(Rule::OutsideMask), 1),
    case("bits-beyond", BITMAP, Some(Rule::OutsideMask), 1),
    case("delay 300", ALL, None, 0),
    case("stale-sparse", ALL, Some(Rule::StaleSparse), 0),
    case("resize", ALL, Some(Rule::SizeChanged), 1),
    case("chain-loop 2", ALL, Some(REGION), 1),
    case("chain-outside 2", ALL, Some(REGION), 1),
    case("chain-unaligned 2", ALL, Some(REGION), 1),
    case("chain-truncated 2", ALL, Some(REGION), 1),
    case("area-beyond 2", ALL, Some(REGION), 1),
    case("area-unaligned 2", ALL, Some(REGION), 1),
    case("argsz-grow 2", ALL, None, 0),
    case("argsz-grow irq", ALL, None, 0),
    refused("chain-loop irq", IRQ),
    refused("chain-outside irq", IRQ),
    refused("chain-unaligned irq", IRQ),
    refused("chain-truncated irq", IRQ),
    refused("chain-loop 9", REGION),
];

pub fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> = CASES
        .iter()
        .map(|case| {
            let name = format!("fault::{}", case.fault.replace(' ', "_"));
            Test::new(name, case.groups, |lab| meet(lab, case))
        })
        .collect();
    tests.push(Test::new("fault::double-signal", VECTORS, double_signal));
    tests.push(Test::new("fault::ignore-acks", ALL, ignore_acks));
    tests
}

/// That the armed fault has fired since the log was cleared.
fn fired(lab: &Lab, fault: &str) -> Result<()> {
    let name = fault.split(' ').next();
    let fired = lab.driver.log()?.0.iter().any(
        |line| matches!(&line.kind, Kind::Fault { name: fired } if Some(fired.as_str()) == name),
    );
    ensure!(fired, "{fault} did not fire");
    lab.driver.clear_log()
}

/// A drill of two cycles, with a fault in the first.
fn drill(lab: &Lab, fault: &str, exit: i32) -> Result<()> {
    lab.driver.fault(fault)?;
    let ended = lab.drill(&["--cycles", "2"])?;
    ended.expect(exit).context("remap drill")?;
    fired(lab, fault)
}

fn meet(lab: &mut Lab, case: &Case) -> Result<()> {
    let ((), lines) = lab.watch(|lab| {
        // A user that reads the sum remaps other regions than the driver waits for.
        if case.fault == "double-signal" {
            lab.driver.timeout_ms(SHORT_MS)?;
        }
        drill(lab, case.fault, case.exit)?;
        if case.serve == Serve::Refuses {
            refuse(lab, case.fault)?;
        } else if !case.fault.ends_with("irq") {
            serve(lab, case.fault)?;
        }
        Ok(())
    })?;
    lines.found(case.rule.as_slice())
}

/// The fault prevents `remap serve` from starting.
fn refuse(lab: &Lab, fault: &str) -> Result<()> {
    lab.driver.fault(fault)?;
    let ended = run(remap(&["serve", &lab.bdf.to_string()]))?;
    ended.fails(1, &["malformed"]).context("remap serve")
}

/// The regions that the driver traps and untraps.
const REGIONS: u128 = 0x5;

/// `remap serve` with the fault, then one more trigger, then SIGTERM.
fn serve(lab: &Lab, fault: &str) -> Result<()> {
    let service = lab.serve(&[])?;
    lab.driver.fault(fault)?;
    lab.driver.clear_log()?;
    for _ in 0..2 {
        lab.driver.trigger(REGIONS)?;
        lab.driver.settle()?;
    }
    fired(lab, fault)?;
    service
        .end(Signal::TERM)?
        .expect(0)
        .context("remap serve")
        .map(drop)
}

/// A counter of a vector carries no bitmap, so that a second signal corrupts nothing; but it precedes
/// the ack. `remap serve` is stopped meanwhile, so that its ack cannot precede the second signal.
fn double_signal(lab: &mut Lab) -> Result<()> {
    let ((), lines) = lab.watch(|lab| {
        let service = lab.serve(&[])?;
        lab.driver.fault("double-signal")?;
        service.stop()?;
        lab.driver.trigger(REGIONS)?;
        service.signal(Signal::CONT)?;
        lab.driver.settle()?;
        fired(lab, "double-signal")?;
        lab.driver.trigger(REGIONS)?;
        lab.driver.settle()?;
        service.end(Signal::TERM)?.expect(0)?;
        // The drill afterwards is not watched: whether it has the finding depends on its speed.
        Ok(())
    })?;
    lines.found(&[Rule::TriggerBeforeAck])?;
    drill(lab, "double-signal", 0)
}

/// The driver ignores the acks; its wait times out, and it untraps the regions.
fn ignore_acks(lab: &mut Lab) -> Result<()> {
    let ((), lines) = lab.watch(|lab| {
        lab.driver.timeout_ms(SHORT_MS)?;
        drill(lab, "ignore-acks", 1)
    })?;
    lines.found(&[Rule::WaitTimeout])?;
    let results = lines.transitions().map(|change| change.result);
    let failed = results.filter(|result| *result == Some(Err(Errno::ETIMEDOUT)));
    ensure!(failed.count() == 1, "{lines:#?}");
    Ok(())
}
