//! Healthy drills: the trace says exactly what the driver's log says.

use anyhow::{Result, ensure};

use crate::rig::Lab;
use crate::rig::child::{remap, run};
use crate::rig::trace::{Trace, Traced};
use crate::{ALL, Test, truth};

/// The cycles that are asked of each kernel and encoding.
const MANY: u64 = 500;
/// Enough to see that another way works too.
const SOME: u64 = 50;

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
                lab.driver.reload("v1")?;
                agree(lab, &["--fail-on-loss"], SOME)
            },
        ),
    ]
}

/// Drills beside a tracer of its own.
fn drill(lab: &Lab, trace: Trace, cycles: u64) -> Result<Traced> {
    lab.driver.clear_log()?;
    let bdf = lab.bdf.to_string();
    let ended = run(remap(&["drill", &bdf, "--cycles", &cycles.to_string()]))?;
    ended.expect(0)?;
    trace.end(0)
}

fn agree(lab: &Lab, arguments: &[&str], cycles: u64) -> Result<()> {
    let traced = drill(lab, Trace::start(arguments)?, cycles)?;
    let (lines, summary) = (&traced.lines, &traced.summary);
    ensure!(summary.lost.is_empty(), "lost: {:?}", summary.lost);
    ensure!(summary.seen == Some(summary.delivered), "{summary:?}");
    ensure!(summary.findings.is_empty(), "{summary:?}");
    let log = lab.driver.log()?;
    truth::agree(lines, &log)?;
    ensure!(
        log.waits().len() as u64 == cycles,
        "{} waits",
        log.waits().len()
    );
    ensure!(
        summary.cycles == lines.cycles().count() as u64,
        "{summary:?}"
    );
    ensure!(
        summary.transitions == lines.transitions().count() as u64,
        "{summary:?}"
    );
    let encoding = lab.group.encoding();
    ensure!(
        lines
            .cycles()
            .all(|cycle| cycle.encoding.as_deref() == Some(encoding)
                && cycle.device == lab.bdf.to_string()),
        "another encoding or device"
    );
    Ok(())
}

/// The form of the hooks that may be skipped: what is lost is counted, and nothing is said of what
/// it may have touched.
fn lossy(lab: &mut Lab) -> Result<()> {
    let traced = drill(lab, Trace::start_lossy(&[])?, SOME)?;
    traced.lines.found(&[])?;
    if traced.summary.lost() == 0 {
        return truth::agree(&traced.lines, &lab.driver.log()?);
    }
    for cycle in traced.lines.cycles() {
        let whole = ["remapped", "unchanged"].contains(&cycle.outcome.as_str());
        let excused = cycle.reason.as_deref() == Some("records lost");
        ensure!(whole || excused, "{cycle:?}");
    }
    Ok(())
}
