//! The tests that need a device: one guest for each kernel and encoding, which
//! runs the group of tests of that name.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::report::Report;
use crate::build::{self, Binary};
use crate::driver;
use crate::interrupt;
use crate::kernel::{self, Series};
use crate::lab::{self, Driver, Spec};
use crate::scenario::equip_with_qemu;
use crate::watch::Output;

/// Tests that share a guest.
struct Group {
    /// The kernel.
    series: Series,
    /// The name that the test program knows it by.
    name: &'static str,
    /// The driver's parameters.
    driver_args: &'static str,
    /// Gives the guest what it needs beyond the usual.
    equip: fn(&mut Spec) -> Result<()>,
}

/// Nothing: a device is all that the group needs.
fn usual(_: &mut Spec) -> Result<()> {
    Ok(())
}

/// Every group. A bitmap needs an eventfd_signal with a count, which 6.8
/// (commit 3652117f8548) took away.
const GROUPS: &[Group] = &[
    Group {
        series: Series::V6_1,
        name: "bitmap",
        driver_args: "encoding=bitmap",
        equip: usual,
    },
    Group {
        series: Series::V6_1,
        name: "vectors",
        driver_args: "encoding=vectors",
        equip: usual,
    },
    Group {
        series: Series::V6_12,
        name: "vectors",
        driver_args: "encoding=vectors",
        equip: usual,
    },
    Group {
        series: Series::V6_12,
        name: "qemu",
        driver_args: "encoding=vectors",
        equip: equip_with_qemu,
    },
];

/// Far more than a group takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// Runs the tests whose name contains `filter`, on these kernels.
pub fn run(series: &[Series], filter: Option<&str>, report: &mut Report) -> Result<()> {
    build::binaries(&[Binary::Guest, Binary::Remap, Binary::LabTests])?;
    for group in GROUPS.iter().filter(|group| series.contains(&group.series)) {
        let label = format!("lab {} {}", group.series.label(), group.name);
        interrupt::check()?;
        let kernel = kernel::ensure(group.series, false)?;
        let module = match driver::ensure(&kernel) {
            Ok(module) => module,
            Err(why) => {
                report.fail(format!("{label}: {why:#}"));
                continue;
            }
        };
        println!("{label}");
        guest(group, &label, kernel, module, filter, report)?;
    }
    Ok(())
}

/// Whether the guest's kernel stood still because the machine's own timer did not fire: on a busy
/// host the emulator loses one at times. The kernel tells this from any other stall
/// (kernel/rcu/tree_stall.h, `rcu_check_gp_kthread_expired_fqs_timer`). It is no verdict on what
/// runs in the guest; a second time in a row it counts.
fn lost_a_timer(log: &Path) -> bool {
    const SIGN: &[u8] = b"kthread timer wakeup didn't happen";
    std::fs::read(log).is_ok_and(|text| text.windows(SIGN.len()).any(|part| part == SIGN))
}

fn guest(
    group: &Group,
    label: &str,
    kernel: kernel::Kernel,
    module: std::path::PathBuf,
    filter: Option<&str>,
    report: &mut Report,
) -> Result<()> {
    let argv = ["remap-lab-tests", "--group", group.name]
        .into_iter()
        .chain(filter);
    let mut spec = Spec {
        driver_args: group.driver_args.into(),
        timeout: PATIENCE,
        ..Spec::new(
            kernel,
            Driver::Built(module),
            argv.map(str::to_owned).collect(),
        )
    };
    (group.equip)(&mut spec)?;
    let mut outcome = lab::run(&spec, Output::Both)?;
    if outcome.verdict.is_err() && lost_a_timer(&outcome.log) {
        let log = outcome.log.display();
        println!(
            "{label}: the emulated machine lost a timer (see {log}); the group runs once more"
        );
        outcome = lab::run(&spec, Output::Both)?;
    }
    let failed = report.failed;
    let ended = report.program(label, &String::from_utf8_lossy(&outcome.stdout));
    let log = outcome.log.display();
    match outcome.verdict {
        Err(why) => report.fail(format!("{label}: {why}; its log is {log}")),
        Ok(_) if !ended => report.fail(format!(
            "{label}: the test program gave no result; its log is {log}"
        )),
        // Its failures are counted.
        Ok(status) if status != 0 && report.failed == failed => {
            report.fail(format!(
                "{label}: the test program exited with {status}; its log is {log}"
            ));
        }
        Ok(0) => {}
        Ok(_) => println!("{label}: the log is {log}"),
    }
    println!("{label}: {} s", outcome.elapsed.as_secs());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::lost_a_timer;

    #[test]
    fn a_lost_timer_is_told_from_another_stall() {
        let log = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let stall = "[ 85.5] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n";
        let timer =
            "[ 85.6] rcu: rcu_preempt kthread timer wakeup didn't happen for 5251 jiffies!\n";
        assert!(lost_a_timer(log(&format!("{stall}{timer}")).path()));
        assert!(!lost_a_timer(log(stall).path()));
    }
}
