//! The tests that need a device: one guest for each kernel and encoding, which
//! runs the group of tests of that name.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::report::Report;
use crate::build::{self, Binary};
use crate::device::Device;
use crate::kernel::{self, Series};
use crate::lab::{self, Outcome};
use crate::overlay;
use crate::process::{command, text};
use crate::scenario::equip_with_qemu;
use crate::spec::{Driver, Spec};
use crate::suite::Suite;
use crate::watch::Output;
use crate::{c, driver, interrupt};

/// Tests that share a guest, and what that guest is made of.
struct Group {
    /// Its name in the test program.
    name: &'static str,
    /// The kernels that it runs on.
    series: &'static [Series],
    /// The driver's parameters.
    driver_args: &'static str,
    /// With iommufd and a node for the device.
    cdev: bool,
    /// Gives the guest what it needs beyond the usual.
    equip: fn(&mut Spec) -> Result<()>,
}

/// The usual: a device on the driver is all that the group needs.
const GROUP: Group = Group {
    name: "",
    series: &Series::USUAL,
    driver_args: "encoding=vectors",
    cdev: false,
    equip: |_| Ok(()),
};

/// Every group; those that take longest first, so that no processor waits for the last one.
const GROUPS: &[Group] = &[
    Group {
        name: "vectors",
        equip: equip_with_two,
        ..GROUP
    },
    Group {
        name: "bitmap",
        // It needs an eventfd_signal with a count, which 6.8 (commit 3652117f8548) took away.
        series: &[Series::V6_1],
        driver_args: "encoding=bitmap",
        equip: equip_with_two,
        ..GROUP
    },
    Group {
        name: "qemu",
        equip: equip_with_qemu,
        ..GROUP
    },
    Group {
        name: "stock",
        driver_args: "",
        equip: equip_stock,
        ..GROUP
    },
    Group {
        name: "cdev",
        // Only there VFIO can be rebuilt with the options that Debian leaves out.
        series: &[Series::V6_12],
        cdev: true,
        ..GROUP
    },
    Group {
        name: "soak",
        series: &[Series::V6_12],
        equip: equip_with_two,
        ..GROUP
    },
    Group {
        name: "perf",
        series: &[Series::V6_12],
        equip: equip_perf,
        ..GROUP
    },
    Group {
        name: "rt",
        series: &[Series::Rt],
        equip: equip_rt,
        ..GROUP
    },
];

/// A second device, whose interrupts flood the tracer.
pub fn equip_with_two(spec: &mut Spec) -> Result<()> {
    spec.devices = vec![Device::Nvme, Device::Nvme];
    Ok(())
}

/// A second device, which raises interrupts.
fn equip_rt(spec: &mut Spec) -> Result<()> {
    spec.devices = vec![Device::Nvme, Device::Edu];
    Ok(())
}

/// Devices of every kind, bound to vfio-pci, and others who count what happens to them.
fn equip_stock(spec: &mut Spec) -> Result<()> {
    spec.stock = true;
    spec.devices = vec![Device::Edu, Device::Nvme, Device::E1000e];
    spec.overlays
        .push(overlay::packages(Suite::Bookworm, &["bpftrace"])?);
    Ok(())
}

/// Programs that read a trace beside its output.
fn equip_perf(spec: &mut Spec) -> Result<()> {
    let programs = ["bpftool", "bpftrace", "libbpf1", "linux-perf"];
    spec.overlays
        .push(overlay::packages(Suite::Bookworm, &programs)?);
    spec.overlays.push(c::records()?);
    Ok(())
}

impl Group {
    /// What its lines are known by.
    fn label(&self, series: Series) -> String {
        format!("lab {} {}", series.label(), self.name)
    }

    /// Whether it has a test whose name contains `filter`.
    fn has(&self, filter: Option<&str>) -> Result<bool> {
        let Some(filter) = filter else {
            return Ok(true);
        };
        let list = ["--group", self.name, "--list", filter];
        let names = text(&mut command(
            &Binary::LabTests.path().display().to_string(),
            list,
        ))?;
        Ok(!names.is_empty())
    }

    /// The run of its tests whose name contains `filter`.
    fn spec(&self, series: Series, filter: Option<&str>) -> Result<Spec> {
        let mut kernel = kernel::ensure(series, false)?;
        if self.cdev {
            kernel = kernel.with_cdev()?;
        }
        let module = driver::ensure(&kernel)?;
        let argv = ["remap-lab-tests", "--group", self.name]
            .into_iter()
            .chain(filter);
        let mut spec = Spec {
            driver_args: self.driver_args.into(),
            timeout: PATIENCE,
            ..Spec::new(
                kernel,
                Driver::Built(module),
                argv.map(str::to_owned).collect(),
            )
        };
        (self.equip)(&mut spec)?;
        Ok(spec)
    }
}

/// Far more than a group takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1500);

/// Guests at a time: one for each processor of the smallest machine. The tests of floods keep a
/// processor busy, and with more guests their tracers get no time.
const GUESTS: usize = 2;

/// Runs the tests whose name contains `filter`, on these kernels.
pub fn run(series: &[Series], filter: Option<&str>, report: &mut Report) -> Result<()> {
    build::binaries(&build::LAB)?;
    let mut queue = VecDeque::new();
    for group in GROUPS {
        if !group.has(filter)? {
            continue;
        }
        for series in group.series.iter().filter(|one| series.contains(one)) {
            let label = group.label(*series);
            match group.spec(*series, filter) {
                Ok(spec) => queue.push_back((label, spec)),
                Err(why) => report.fail(format!("{label}: {why:#}")),
            }
        }
    }
    let (queue, report) = (Mutex::new(queue), Mutex::new(report));
    let work = || -> Result<()> {
        loop {
            interrupt::check()?;
            let next = lock(&queue).pop_front();
            let Some((label, spec)) = next else {
                return Ok(());
            };
            eprintln!("xtask: {label}");
            let outcome = guest(&label, &spec)?;
            // One at a time: what a group printed stays in one piece.
            show(&label, &outcome, &mut lock(&report));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..GUESTS).map(|_| scope.spawn(work)).collect();
        let ends: Vec<_> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect();
        ends.into_iter().collect()
    })
}

/// Locks; what a panicking worker left is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the guest's kernel stood still because the machine's own timer did not fire: on a busy
/// host the emulator loses one at times. The kernel's log distinguishes this from any other stall
/// (kernel/rcu/tree_stall.h, `rcu_check_gp_kthread_expired_fqs_timer`). It is no verdict on what
/// runs in the guest; a second time in a row it counts.
fn lost_a_timer(log: &Path) -> bool {
    const SIGN: &[u8] = b"kthread timer wakeup didn't happen";
    std::fs::read(log).is_ok_and(|text| text.windows(SIGN.len()).any(|part| part == SIGN))
}

/// Runs a group, once more if the machine failed it.
fn guest(label: &str, spec: &Spec) -> Result<Outcome> {
    let outcome = lab::run(spec, Output::Captured)?;
    if outcome.verdict.is_ok() || !lost_a_timer(&outcome.log) {
        return Ok(outcome);
    }
    let log = outcome.log.display();
    eprintln!(
        "xtask: {label}: the emulated machine lost a timer (see {log}); the group runs once more"
    );
    lab::run(spec, Output::Captured)
}

/// Shows and counts what a guest's tests printed, and checks how it ended.
fn show(label: &str, outcome: &Outcome, report: &mut Report) {
    let printed = String::from_utf8_lossy(&outcome.stdout);
    let complaints = String::from_utf8_lossy(&outcome.stderr);
    println!("{label}\n{printed}");
    if !complaints.is_empty() {
        eprintln!("{complaints}");
    }
    let failed = report.failed;
    let ended = report.program(label, &printed);
    let log = outcome.log.display();
    match &outcome.verdict {
        Err(why) => report.fail(format!("{label}: {why}; its log is {log}")),
        Ok(_) if !ended => report.fail(format!(
            "{label}: the test program gave no result; its log is {log}"
        )),
        // Its failures are counted.
        Ok(status) if *status != 0 && report.failed == failed => {
            report.fail(format!(
                "{label}: the test program exited with {status}; its log is {log}"
            ));
        }
        Ok(0) => {}
        Ok(_) => println!("{label}: the log is {log}"),
    }
    println!("{label}: {} s", outcome.elapsed.as_secs());
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::lost_a_timer;

    #[test]
    fn a_lost_timer_differs_from_another_stall() {
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
