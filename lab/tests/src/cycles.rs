//! Drills without faults: the trace agrees with the driver's log in every signal, requery, ack, wait
//! and state change.

use anyhow::{Result, ensure};
use remap_core::account::{Loses, Miss};
use remap_core::model::Cycle;
use remap_user::respond::ack::encoding_name;
use rustix::process::Signal;

use crate::rig::driver::{MANY_REGIONS, TRAPPED_OF_MANY};
use crate::rig::judge::driver;
use crate::rig::lab::Lab;
use crate::rig::line::is_complete;
use crate::rig::now;
use crate::rig::trace::{Trace, Traced};
use crate::{ALL, EACH, Test};

/// The cycles that each kernel and encoding has to pass.
const MANY: u64 = 500;
/// Enough for a second interface.
const SOME: u64 = 50;
/// The regions that a drill has remapped in one of its cycles: three are trapped, and given back.
const REGIONS: u64 = 6;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("cycles::many_agree_with_the_driver", ALL, |lab| {
            agree(lab, &["--fail-on-loss"], MANY)
        }),
        Test::new("cycles::lossy_hooks_agree_with_the_driver", ALL, lossy),
        Test::new(
            "cycles::legacy_migration_agrees_with_the_driver",
            ALL,
            |lab| {
                lab.driver.reload(&["migration=v1"])?;
                agree(lab, &["--fail-on-loss"], SOME)
            },
        ),
        Test::new(
            "cycles::many_regions_agree_with_the_driver",
            EACH,
            many_regions,
        ),
    ]
}

/// A device with more than 64 regions, which a second remap IRQ names: a drill, and a service.
fn many_regions(lab: &mut Lab) -> Result<()> {
    lab.driver.reload(MANY_REGIONS)?;
    let trapped = format!("{TRAPPED_OF_MANY:#x}");
    lab.driver.parameter("whole", &trapped)?;
    let trace = Trace::start(&["--fail-on-loss"])?;
    lab.driver.clear_log()?;
    let begin_ns = now()?;
    lab.drill(&["--cycles", "2"])?.expect(0)?;
    let (log, drilled_ns) = (lab.driver.log()?, begin_ns..=now()?);
    let service = lab.serve(&[])?;
    for _ in 0..2 {
        lab.driver.trigger(1 << 66 | 1)?;
        lab.driver.settle()?;
    }
    service.end(Signal::TERM)?.expect(0)?;
    let traced = trace.end(0)?;
    traced.found(&[])?;
    driver::agree(&traced.lines.within(&drilled_ns), &log)?;
    let second = |cycle: &&Cycle| cycle.irq_index == Some(6) && cycle.region == 66;
    let cycles = traced.lines.cycles().filter(second).count();
    ensure!(cycles == 2 * 2 + 2, "{cycles} cycles of region 66");
    Ok(())
}

/// A drill beside a tracer of its own.
fn drill(lab: &Lab, trace: Trace, cycles: u64) -> Result<Traced> {
    lab.driver.clear_log()?;
    lab.drill(&["--cycles", &cycles.to_string()])?.expect(0)?;
    trace.end(0)
}

fn agree(lab: &Lab, arguments: &[&str], cycles: u64) -> Result<()> {
    let traced = drill(lab, Trace::start(arguments)?, cycles)?;
    let (lines, summary) = (&traced.lines, &traced.summary);
    ensure!(summary.lost.is_empty(), "lost: {:?}", summary.lost);
    ensure!(summary.seen == Some(summary.delivered), "{summary:?}");
    ensure!(summary.stats.findings().is_empty(), "{summary:?}");
    let log = lab.driver.log()?;
    driver::agree(lines, &log)?;
    ensure!(
        log.waits().len() as u64 == cycles,
        "{} waits",
        log.waits().len()
    );
    ensure!(
        summary.stats.cycles() == lines.cycles().count() as u64,
        "{summary:?}"
    );
    ensure!(
        summary.stats.transitions() == lines.transitions().count() as u64,
        "{summary:?}"
    );
    let encoding = lab.group.encoding();
    ensure!(
        lines
            .cycles()
            .all(|cycle| cycle.encoding.map(encoding_name) == Some(encoding)
                && cycle.device == lab.bdf.to_string()),
        "another encoding or device"
    );
    Ok(())
}

/// The form of the hooks that the kernel may skip. A skipped run is counted by its program's name
/// (from 6.7 on), a lost return by its call; what is reported all the same agrees with the driver.
fn lossy(lab: &mut Lab) -> Result<()> {
    let traced = drill(lab, Trace::start_lossy(&[])?, SOME)?;
    let (summary, log) = (&traced.summary, lab.driver.log()?);
    if summary.lost_total() + summary.skipped == 0 {
        return driver::agree(&traced.lines, &log);
    }
    let lost = |reason: &str| summary.lost.get(reason).copied().unwrap_or(0);
    let skipped = lost("probe_missed") + lost("recursion");
    ensure!(
        skipped + lost("return_missed") == summary.lost_total(),
        "another loss: {summary:?}"
    );
    let certain = |miss: &&Miss| miss.loses == Loses::Always;
    let named: u64 = summary
        .missed
        .iter()
        .filter(certain)
        .map(|miss| miss.count)
        .sum();
    ensure!(
        named == skipped,
        "programs were skipped and not named: {summary:?}"
    );
    driver::agree_in_part(&traced.lines, &log)?;
    // A lost record touches at most the regions of one cycle of the drill. A skipped run was at some time
    // between two readings of its count, which may be in two of them.
    let complete = traced.lines.cycles().filter(|cycle| is_complete(cycle));
    let (complete, most) = (complete.count() as u64, SOME * REGIONS);
    ensure!(
        complete <= most
            && complete + (summary.lost_total() + 2 * summary.skipped) * REGIONS >= most,
        "{complete} of {most} cycles are complete: {summary:?}"
    );
    Ok(())
}
