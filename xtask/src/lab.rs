//! `cargo xtask lab`: boots a guest, runs one command in it and checks how it ended.

use fs_err::{self as fs, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::build::{self, Binary};
use crate::device::{self, Device};
use crate::kernel::{self, Choice};
use crate::outcome::Usage;
use crate::overlay::Packages;
use crate::scenario::Scenario;
use crate::spec::{Driver, Spec};
use crate::watch::{self, Output};
use crate::{cache, driver, guest, interrupt, qemu, setup};

/// Boot the lab's guest and run a command in it; exits with its exit status.
#[derive(Parser)]
pub struct Args {
    /// The kernel to boot: 6.1, 6.12, 6.12-rt, newest (or its number) or all
    #[arg(long, default_value = "6.12")]
    kernel: Choice,
    /// With iommufd and a node for each device, which Debian's kernels lack (6.12)
    #[arg(long)]
    cdev: bool,
    /// Processors (2, or 1 with --icount)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    smp: Option<u32>,
    /// Count instructions instead of time: the same figures on every run
    #[arg(long)]
    icount: bool,
    /// Parameters of the driver, as insmod takes them
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    driver_args: String,
    /// Boot without the driver: the devices are bound to vfio-pci
    #[arg(long, value_name = "none|built", default_value = "built")]
    driver: WhichDriver,
    /// Load the driver but bind the devices to vfio-pci
    #[arg(long)]
    stock: bool,
    /// Copy this folder over the guest's root (repeatable)
    #[arg(long, value_name = "DIR")]
    overlay: Vec<PathBuf>,
    /// Copy these packages of Debian's there, with the libraries that they need (repeatable)
    #[arg(long, value_name = "SUITE:NAME[,NAME]")]
    packages: Vec<Packages>,
    /// A device to assign (repeatable; nvme when none is named)
    #[arg(long)]
    device: Vec<Device>,
    /// Give up after this many seconds
    #[arg(long, value_name = "S", default_value_t = 300)]
    timeout: u64,
    /// A further argument for QEMU (repeatable)
    #[arg(long, value_name = "A", allow_hyphen_values = true)]
    qemu_arg: Vec<String>,
    /// Boot without building remap and its tests
    #[arg(long)]
    no_remap: bool,
    /// An interactive shell on this terminal (end it by exit, or Ctrl-A x)
    #[arg(long, conflicts_with = "command")]
    shell: bool,
    /// Play this out instead of running a command; it brings its own devices
    #[arg(long, value_name = "NAME", conflicts_with_all = ["command", "shell", "device", "icount", "smp", "stock", "no_remap"])]
    scenario: Option<Scenario>,
    /// The command and its arguments, run as they are
    #[arg(last = true, value_name = "CMD", required_unless_present_any = ["shell", "scenario"])]
    command: Vec<String>,
}

/// Whether the driver takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhichDriver {
    None,
    Built,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The command's exit status, or why there is none.
    pub verdict: Result<u8, String>,
    /// What the command wrote to stdout (when captured).
    pub stdout: Vec<u8>,
    /// What the command wrote to stderr (when captured).
    pub stderr: Vec<u8>,
    /// The console, the kernel's log and the verdict.
    pub log: PathBuf,
    /// From the start of QEMU to the verdict.
    pub elapsed: Duration,
}

impl Outcome {
    /// Fails unless the command, which is called `what`, succeeded.
    pub fn succeeded(&self, what: &str) -> Result<()> {
        let log = self.log.display();
        match &self.verdict {
            Ok(0) => Ok(()),
            Ok(status) => bail!("{what} exited with {status}; the guest's log is {log}"),
            Err(why) => bail!("{why}; the guest's log is {log}"),
        }
    }
}

/// The guest's memory in MiB, without what overlays need.
const MEMORY: u64 = 512;

/// Runs `cargo xtask lab`.
pub fn main(args: &Args) -> Result<u8> {
    if args.icount && args.smp.is_some_and(|smp| smp > 1) {
        return Err(Usage(
            "--icount counts the instructions of one processor: leave --smp out".into(),
        )
        .into());
    }
    if let Some(overlay) = args.overlay.iter().find(|overlay| !overlay.is_dir()) {
        return Err(Usage(format!(
            "--overlay {}: is not a directory",
            overlay.display()
        ))
        .into());
    }
    let series = args.kernel.series();
    let (mut needs, mut binaries) = (
        vec![setup::Requirement::Lab(series.clone())],
        vec![Binary::Guest],
    );
    if !args.no_remap {
        needs.insert(0, setup::Requirement::Build);
        binaries.extend([Binary::Remap, Binary::LabTests]);
    }
    setup::run(&needs)?;
    args.kernel.check()?;
    build::binaries(&binaries)?;
    interrupt::watch()?;
    let mut overlays = Vec::new();
    for packages in &args.packages {
        overlays.push(packages.folder()?);
    }
    overlays.extend(args.overlay.iter().cloned());
    let mut worst = 0;
    for &one in &series {
        let mut kernel = kernel::ensure(one, false)?;
        if args.cdev {
            kernel = kernel.with_cdev()?;
        }
        let built = match args.driver {
            WhichDriver::None => Driver::None,
            WhichDriver::Built => Driver::Built(driver::ensure(&kernel)?),
        };
        let mut spec = Spec {
            smp: args.smp.unwrap_or(if args.icount { 1 } else { 2 }),
            icount: args.icount,
            driver_args: args.driver_args.clone(),
            stock: args.stock,
            overlays: overlays.clone(),
            devices: if args.device.is_empty() {
                vec![Device::Nvme]
            } else {
                args.device.clone()
            },
            timeout: Duration::from_secs(args.timeout),
            qemu_args: args.qemu_arg.clone(),
            binaries: binaries.clone(),
            ..Spec::new(kernel, built, args.command.clone())
        };
        if let Some(scenario) = args.scenario {
            spec.argv = scenario.command();
            scenario.equip(&mut spec)?;
        }
        if series.len() > 1 {
            eprintln!("xtask: kernel {}", spec.kernel.release);
        }
        let outcome = run(&spec, Output::Streamed)?;
        let status = outcome.verdict.unwrap_or_else(|why| {
            eprintln!(
                "xtask: lab on {}: {why}; its log is {}",
                spec.kernel.release,
                outcome.log.display()
            );
            1
        });
        worst = if worst == 0 { status } else { worst };
    }
    Ok(worst)
}

/// Boots a guest and watches it to its end.
pub fn run(spec: &Spec, output: Output) -> Result<Outcome> {
    let files = tempfile::Builder::new()
        .prefix("remap-lab-")
        .tempdir()
        .context("making a folder for the run")?;
    let placed = device::place(&spec.devices, spec.bar_mib, files.path());
    for (name, size) in device::files(&placed, spec.bar_mib) {
        File::create(files.path().join(name))?.set_len(size)?;
    }
    let (initrd, channel) = (files.path().join("initrd"), files.path().join("channel"));
    let extra = guest::write(spec, &placed, &initrd)?;
    let log = log_file(spec)?;
    let machine = qemu::Machine {
        kernel: &spec.kernel.vmlinux(),
        initrd: &initrd,
        smp: spec.smp,
        // The archive, and what the kernel unpacks it to, are both in memory.
        memory: MEMORY + 2 * extra.div_ceil(1 << 20),
        icount: spec.icount,
        shell: spec.argv.is_empty(),
        log: &log,
        channel: &channel,
        devices: &placed,
        extra: &spec.qemu_args,
    };
    let begin = Instant::now();
    let seen = watch::run(&machine, spec.timeout, output)?;
    Ok(Outcome {
        verdict: seen.verdict,
        stdout: seen.stdout,
        stderr: seen.stderr,
        log,
        elapsed: begin.elapsed(),
    })
}

/// A new file for the run's log; old ones are removed.
fn log_file(spec: &Spec) -> Result<PathBuf> {
    const KEPT: usize = 100;
    let folder = cache::target().join("lab-logs");
    fs::create_dir_all(&folder)?;
    let mut old: Vec<_> = fs::read_dir(&folder)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    old.sort();
    for path in old.iter().rev().skip(KEPT) {
        let _ = fs::remove_file(path);
    }
    // Two guests may begin in the same millisecond.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_millis();
    let command = spec
        .argv
        .first()
        .map_or("shell", |name| name.rsplit('/').next().unwrap_or("command"));
    let command: String = command
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    Ok(folder.join(format!(
        "{now}-{run}-{}-{command}.log",
        spec.kernel.series.label()
    )))
}
