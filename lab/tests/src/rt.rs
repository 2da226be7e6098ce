//! A PREEMPT_RT kernel: a program may lose its processor, and devices' interrupts are handled by threads.

use anyhow::{Context, Result, ensure};

use crate::rig::devices;
use crate::rig::driver::Driver;
use crate::rig::judge::driver;
use crate::rig::judge::ledger::Ledger;
use crate::rig::lab::Lab;
use crate::rig::line::is_complete;
use crate::rig::process::{remap, run};
use crate::rig::stock::balanced;
use crate::rig::trace::{Trace, Traced, is_realtime};
use crate::rig::vmm::{edu, with};
use crate::{RT, Test};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("rt::doctor_names_it", RT, doctor),
        Test::new("rt::cycles_agree_with_the_driver", RT, |lab| {
            cycles(lab, Trace::start(&[])?)
        }),
        Test::new("rt::cycles_of_hooks_that_are_preempted", RT, |lab| {
            cycles(lab, Trace::start_lossy(&[])?)
        }),
        Test::new("rt::interrupts_of_a_stock_device", RT, interrupts),
    ]
}

/// Cycles of a drill, and the regions that each has remapped.
const CYCLES: u64 = 50;
const REGIONS: u64 = 6;

fn doctor(_: &mut Lab) -> Result<()> {
    ensure!(is_realtime(), "this is no PREEMPT_RT kernel");
    let doctor = run(remap(&["doctor", "--all"]))?;
    let text = &doctor.expect(0)?.stdout;
    ensure!(!text.contains("limited"), "{text}");
    ensure!(text.contains("PREEMPT_RT"), "{text}");
    Ok(())
}

/// Every cycle is complete and agrees with the driver, or a run that was skipped accounts for it.
fn cycles(lab: &mut Lab, trace: Trace) -> Result<()> {
    lab.driver.clear_log()?;
    lab.drill(&["--cycles", &CYCLES.to_string()])?.expect(0)?;
    let traced = trace.end(0)?;
    let (summary, log) = (&traced.summary, lab.driver.log()?);
    let missing = summary.lost_total() + summary.skipped;
    eprintln!(
        "rt: {} lost, {} skipped: {:?}",
        summary.lost_total(),
        summary.skipped,
        summary.missed
    );
    if missing == 0 {
        return driver::agree(&traced.lines, &log);
    }
    driver::agree_in_part(&traced.lines, &log)?;
    // A record touches at most the regions of one trigger.
    let complete = traced.lines.cycles().filter(|cycle| is_complete(cycle));
    let (complete, most) = (complete.count() as u64, CYCLES * REGIONS);
    ensure!(
        complete <= most && complete + missing * REGIONS >= most,
        "{complete} of {most} cycles are complete: {summary:?}"
    );
    Ok(())
}

/// A device bound to vfio-pci raises interrupts by its pin and by messages: each is traced, once.
fn interrupts(lab: &mut Lab) -> Result<()> {
    let edu = devices()?.pop().context("no device")?;
    Driver::new(edu, lab.group).bind("vfio-pci")?;
    let trace = Trace::start(&["--events", "--fail-on-loss"])?;
    let ledger = Ledger::default();
    with(&ledger, edu, |_, edu| {
        edu::intx(edu)?;
        edu::msi(edu)
    })?;
    let Traced { lines, summary } = trace.end(0)?;
    ledger.agree(&lines)?;
    lines.found(&[])?;
    let vectors = balanced(&summary)?;
    ensure!(vectors == 2, "{vectors} vectors: {summary:?}");
    ensure!(summary.seen == Some(summary.delivered), "{summary:?}");
    Ok(())
}
