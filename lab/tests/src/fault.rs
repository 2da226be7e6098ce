//! The faults of the driver: each gives its finding and no other; drill and serve survive it.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::rig::child::{remap, run};
use crate::rig::log::Kind;
use crate::rig::{Group, Lab, SHORT_MS, until};
use crate::{ALL, BITMAP, Test, VECTORS};

/// A fault, and what comes of it.
#[derive(Clone, Copy)]
struct Case {
    /// As it is armed.
    fault: &'static str,
    groups: &'static [Group],
    /// The rule that is found while a drill goes on; `None`: nothing is wrong.
    rule: Option<&'static str>,
    /// The drill's exit code.
    exit: i32,
    /// How it is met by `remap serve`.
    serve: Serve,
}

/// How `remap serve` meets a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serve {
    /// It does not start, and says so.
    Refuses,
    /// It answers triggers as ever.
    Answers,
}

const fn case(
    fault: &'static str,
    groups: &'static [Group],
    rule: Option<&'static str>,
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

/// A chain that is spoiled before a service has begun.
const fn refused(fault: &'static str, rule: &'static str) -> Case {
    Case {
        serve: Serve::Refuses,
        ..case(fault, ALL, Some(rule), 1)
    }
}

const REGION: &str = "malformed-region-info";
const IRQ: &str = "malformed-irq-info";

/// Region 2 has a chain while it is trapped, region 9 always has one. A drill that had to leave a
/// region alone, or was told of one that it must not touch, says so and exits with 1.
const CASES: &[Case] = &[
    // Both counts are one after the other in the counter: a bitmap is another one then.
    case("double-signal", BITMAP, Some("aliased-trigger"), 1),
    case("name-unchanged", ALL, Some("named-unchanged"), 0),
    case("name-missing", ALL, Some("outside-mask"), 1),
    case("outside", ALL, Some("outside-mask"), 1),
    case("bits-beyond", BITMAP, Some("outside-mask"), 1),
    case("delay 300", ALL, None, 0),
    case("stale-sparse", ALL, Some("stale-sparse"), 0),
    case("resize", ALL, Some("size-changed"), 1),
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

/// That the fault that was armed has fired since the log was emptied.
fn fired(lab: &Lab, fault: &str) -> Result<()> {
    let name = fault.split(' ').next();
    let fired = lab.driver.log()?.0.iter().any(
        |line| matches!(&line.kind, Kind::Fault { name: fired } if Some(fired.as_str()) == name),
    );
    ensure!(fired, "{fault} did not fire");
    lab.driver.clear_log()
}

/// A drill that meets a fault in the first of its two cycles.
fn drill(lab: &Lab, fault: &str, exit: i32) -> Result<()> {
    lab.driver.fault(fault)?;
    let bdf = lab.bdf.to_string();
    let ended = run(remap(&["drill", &bdf, "--cycles", "2"]))?;
    ended.expect(exit).context("remap drill")?;
    fired(lab, fault)
}

fn meet(lab: &mut Lab, case: &Case) -> Result<()> {
    let ((), told) = lab.watch(|lab| {
        // Who follows a bitmap that was added up remaps other regions than the driver waits for.
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
    let rules: Vec<&str> = case.rule.into_iter().collect();
    told.found(&rules)
}

/// A service that the fault keeps from starting.
fn refuse(lab: &Lab, fault: &str) -> Result<()> {
    lab.driver.fault(fault)?;
    let ended = run(remap(&["serve", &lab.bdf.to_string()]))?;
    ended.says(1, &["malformed"]).context("remap serve")
}

/// The regions that the tests have the driver trap and give back.
const REGIONS: u64 = 0x5;

/// A service that meets the fault, then one more trigger, and is ended.
fn serve(lab: &Lab, fault: &str) -> Result<()> {
    let service = lab.serve(&[])?;
    lab.driver.fault(fault)?;
    lab.driver.clear_log()?;
    for _ in 0..2 {
        lab.driver.trigger(REGIONS)?;
        answered(lab)?;
    }
    fired(lab, fault)?;
    service
        .end(Signal::TERM)?
        .expect(0)
        .context("remap serve")
        .map(drop)
}

/// Waits until the driver has nothing to wait for any more.
fn answered(lab: &Lab) -> Result<()> {
    until("the service's acks", || {
        let open = |key| Ok::<_, anyhow::Error>(lab.driver.stat(key)? != "0x0");
        Ok((!open("outstanding")? && !open("queued")?).then_some(()))
    })
}

/// Vectors carry no sum, so a second signal harms nobody; but it comes before the ack. The service
/// stands meanwhile, so that it cannot be faster than the driver's second signal.
fn double_signal(lab: &mut Lab) -> Result<()> {
    let ((), told) = lab.watch(|lab| {
        let service = lab.serve(&[])?;
        lab.driver.fault("double-signal")?;
        service.stop()?;
        lab.driver.trigger(REGIONS)?;
        service.signal(Signal::CONT)?;
        answered(lab)?;
        fired(lab, "double-signal")?;
        lab.driver.trigger(REGIONS)?;
        answered(lab)?;
        service.end(Signal::TERM)?.expect(0)?;
        // A drill goes on as if nothing had been; how much of it is a finding is up to its speed.
        Ok(())
    })?;
    told.found(&["trigger-before-ack"])?;
    drill(lab, "double-signal", 0)
}

/// The driver waits in vain, gives up, and gives the regions back.
fn ignore_acks(lab: &mut Lab) -> Result<()> {
    let ((), told) = lab.watch(|lab| {
        lab.driver.timeout_ms(SHORT_MS)?;
        drill(lab, "ignore-acks", 1)
    })?;
    told.found(&["wait-timeout"])?;
    let failed = told
        .transitions()
        .filter(|change| change.result.as_deref() == Some("ETIMEDOUT"));
    ensure!(failed.count() == 1, "{told:#?}");
    Ok(())
}
