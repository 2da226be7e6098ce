//! The tests that need a device: one guest for each kernel and encoding, which
//! runs the group of tests of that name.

use std::time::Duration;

use anyhow::Result;

use super::report::Report;
use crate::build::{self, Binary};
use crate::driver;
use crate::interrupt;
use crate::kernel::{self, Series};
use crate::lab::{self, Driver, Spec};
use crate::watch::Output;

/// Tests that share a guest.
struct Group {
    /// The kernel.
    series: Series,
    /// The name that the test program knows it by.
    name: &'static str,
    /// The driver's parameters.
    driver_args: &'static str,
}

/// Every group. A bitmap needs an eventfd_signal with a count, which 6.8
/// (commit 3652117f8548) took away.
const GROUPS: &[Group] = &[
    Group {
        series: Series::V6_1,
        name: "bitmap",
        driver_args: "encoding=bitmap",
    },
    Group {
        series: Series::V6_1,
        name: "vectors",
        driver_args: "encoding=vectors",
    },
    Group {
        series: Series::V6_12,
        name: "vectors",
        driver_args: "encoding=vectors",
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
    let spec = Spec {
        driver_args: group.driver_args.into(),
        timeout: PATIENCE,
        ..Spec::new(
            kernel,
            Driver::Built(module),
            argv.map(str::to_owned).collect(),
        )
    };
    let outcome = lab::run(&spec, Output::Both)?;
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
