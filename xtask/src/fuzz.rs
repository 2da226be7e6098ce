//! `cargo xtask fuzz`: libFuzzer on the targets of the crate `fuzz`, with stable Rust.

use fs_err as fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Parser};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::outcome::Usage;
use crate::process::{command, run, shown, step};
use crate::{cache, interrupt, setup};

/// Fuzz what remap reads of others: records, capability chains, answers of drivers, QEMU's log,
/// recordings.
///
/// Inputs that reach something new are kept in the cache and are the start of the next run. Without
/// TARGET half of the processors' time is spent on `pipeline`, the rest on the others.
#[derive(Parser)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct Args {
    /// Only this target: pipeline, chain, answer, log or recording
    target: Option<String>,
    /// How long
    #[arg(long, group = "what", value_name = "N")]
    hours: Option<u64>,
    /// The same in minutes
    #[arg(long, group = "what", value_name = "N")]
    minutes: Option<u64>,
    /// Run TARGET on this input only: one that a run has kept
    #[arg(long, group = "what", value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// A target, and how much of it the tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in the crate `fuzz`.
    pub name: &'static str,
    /// How many inputs `cargo xtask test` runs.
    pub runs: u64,
    /// The longest input, bytes.
    longest: u32,
}

/// All targets, with 10 million inputs in the tests. An input of `pipeline` takes a hundred times as long
/// as one of the others; those that take longest come first.
pub const TARGETS: [Target; 5] = [
    Target {
        name: "pipeline",
        runs: 40_000,
        longest: 2048,
    },
    Target {
        name: "log",
        runs: 360_000,
        longest: 1024,
    },
    Target {
        name: "recording",
        runs: 100_000,
        longest: 4096,
    },
    Target {
        name: "answer",
        runs: 4_000_000,
        longest: 1024,
    },
    Target {
        name: "chain",
        runs: 5_500_000,
        longest: 1024,
    },
];

/// The target that the binaries are built for: named, so that its flags do not reach build scripts.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// What cargo-fuzz sets on nightly: coverage for libFuzzer by LLVM's own pass, which stable has too.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=8";

/// What libFuzzer's own tables and corpus may take beside an input, MiB. The input's own budget is held
/// by the crate `fuzz`.
const RSS_MIB: u32 = 1024;

/// How long one input may take, s: far more than on a busy machine.
const HANGS: u32 = 60;

/// Runs `cargo xtask fuzz`.
pub fn main(args: &Args) -> Result<u8> {
    let wanted = |target: &&Target| args.target.as_ref().is_none_or(|name| name == target.name);
    let targets: Vec<Target> = TARGETS.iter().filter(wanted).copied().collect();
    let Some(first) = targets.first() else {
        let names = TARGETS.map(|target| target.name).join(", ");
        return Err(Usage(format!("no such target; there are {names}")).into());
    };
    build()?;
    interrupt::watch()?;
    if let Some(input) = &args.input {
        run(first.command(&first.program()).arg(input))?;
        return Ok(0);
    }
    let minutes = args
        .minutes
        .or(args.hours.map(|hours| hours * 60))
        .unwrap_or(1);
    // Two at a time: the first, and the others one after the other.
    let (first, others) = targets.split_at(1);
    let failed = thread::scope(|scope| {
        let lanes = [first, others].map(|lane| scope.spawn(move || fuzz(lane, minutes * 60)));
        lanes
            .into_iter()
            .map(|lane| {
                lane.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .sum::<Result<usize>>()
    })?;
    Ok(u8::from(failed > 0))
}

/// Builds the binaries.
pub fn build() -> Result<()> {
    setup::run(&[setup::Requirement::Fuzz])?;
    step("building the fuzz targets", || {
        let mut cargo = command("cargo", ["build", "--quiet", "--profile", "fuzz"]);
        cargo.args(["--target", PLATFORM, "--package", "remap-fuzz"]);
        cargo.args(["--features", "libfuzzer"]);
        for target in TARGETS {
            cargo.args(["--bin", &format!("remap-fuzz-{}", target.name)]);
        }
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", FLAGS);
        cargo
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        run(cargo.current_dir(cache::root()))?;
        let seeds = [
            "build",
            "--quiet",
            "--package",
            "remap-fuzz",
            "--bin",
            SEEDS,
        ];
        run(command("cargo", seeds).current_dir(cache::root()))
    })
}

/// The binary that writes the seeds; it has no coverage, and so no libFuzzer.
const SEEDS: &str = "remap-fuzz-seeds";

/// Fuzzes targets one after the other, with the same share of the time; returns how many failed.
fn fuzz(targets: &[Target], seconds: u64) -> Result<usize> {
    let mut failed = 0;
    for target in targets {
        let share = seconds / targets.len() as u64;
        match target.fuzz(share) {
            Ok(line) => println!("{}: {line}", target.name),
            Err(error) => {
                interrupt::check()?;
                println!("{}: {error:#}", target.name);
                failed += 1;
            }
        }
    }
    Ok(failed)
}

impl Target {
    /// Where the build leaves its binary.
    fn program(&self) -> PathBuf {
        let name = format!("remap-fuzz-{}", self.name);
        cache::target().join(PLATFORM).join("fuzz").join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = command(&program.to_string_lossy(), NO_WORDS);
        command.args([
            format!("-max_len={}", self.longest),
            format!("-rss_limit_mb={RSS_MIB}"),
            format!("-timeout={HANGS}"),
            "-print_final_stats=1".to_owned(),
        ]);
        command
    }

    /// A folder below `parent` for the seeds, with the seeds in it.
    fn seeds(&self, parent: &Path) -> Result<PathBuf> {
        let folder = parent.join("seeds");
        fs::create_dir_all(&folder)?;
        let program = cache::target().join("debug").join(SEEDS);
        run(command(&program.to_string_lossy(), [self.name]).arg(&folder))?;
        Ok(folder)
    }

    /// Runs so many inputs, from the seeds on, always the same ones.
    pub fn count(&self) -> Result<()> {
        let place = cache::target().join("fuzz-tests").join(self.name);
        // What an earlier run has left would change the order of the inputs.
        let _absent = fs::remove_dir_all(place.join("corpus"));
        fs::create_dir_all(place.join("corpus"))?;
        let mut command = self.command(&self.program());
        command.args([format!("-runs={}", self.runs), "-seed=1".to_owned()]);
        command.arg(place.join("corpus")).arg(self.seeds(&place)?);
        let log = self.run(command, &place)?;
        let executed = stat(&log, "stat::number_of_executed_units:").unwrap_or(0);
        if executed < self.runs {
            bail!("{executed} of {} inputs were run", self.runs);
        }
        println!("fuzz: {}: {}", self.name, last_status(&log));
        Ok(())
    }

    /// Fuzzes for a time, from the corpus in the cache on; goes on after a crash.
    fn fuzz(&self, seconds: u64) -> Result<String> {
        let place = cache::directory()?.join("fuzz").join(self.name);
        fs::create_dir_all(place.join("corpus"))?;
        // libFuzzer starts itself again and again: a build meanwhile must not change it.
        let program = place.join("program");
        let _absent = fs::remove_file(&program);
        fs::copy(self.program(), &program)?;
        let mut command = self.command(&program);
        command.args([
            "-fork=1",
            "-ignore_crashes=1",
            "-ignore_ooms=1",
            "-ignore_timeouts=1",
        ]);
        command.arg(format!("-max_total_time={seconds}"));
        command.arg(place.join("corpus")).arg(self.seeds(&place)?);
        let log = self.run(command, &place)?;
        Ok(last_status(&log))
    }

    /// Runs libFuzzer; returns its log. What it keeps of a failure is named by the error.
    fn run(&self, mut command: Command, place: &Path) -> Result<String> {
        let kept = place.join("failed");
        fs::create_dir_all(&kept)?;
        let before = inputs(&kept)?;
        let log = place.join("log");
        let out = fs::File::create(&log)?.into_file();
        command.arg(format!("-artifact_prefix={}/", kept.display()));
        command
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out);
        eprintln!("xtask: {}: the log is {}", self.name, log.display());
        // libFuzzer runs jobs of its own, which must end with it.
        command.current_dir(place).process_group(0);
        let child = command.spawn();
        let child = child.with_context(|| format!("running {}", shown(&command)))?;
        let status = wait(child)?;
        let mut new = inputs(&kept)?;
        new.retain(|input| !before.contains(input));
        if let Some(input) = new.first() {
            let (count, name, input) = (new.len(), self.name, input.display());
            bail!(
                "{count} inputs failed; the log is {}; to reproduce the first:\n  \
                 cargo xtask fuzz {name} --input {input}",
                log.display()
            );
        }
        if !status.success() {
            bail!("libFuzzer: {status}; the log is {}", log.display());
        }
        Ok(fs::read_to_string(&log)?)
    }
}

/// A program without words of its own.
const NO_WORDS: [&str; 0] = [];

/// Waits for the end; a signal ends the child and what it has started.
fn wait(mut child: Child) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if let Err(interrupted) = interrupt::check() {
            let _ended = kill_process_group(Pid::from_child(&child), Signal::KILL);
            child.wait()?;
            return Err(interrupted);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The files in a folder.
fn inputs(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// A number of libFuzzer's final statistics.
fn stat(log: &str, name: &str) -> Option<u64> {
    let line = log.lines().rev().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// The last line with the number of inputs, the coverage and the corpus.
fn last_status(log: &str) -> String {
    let lines = log.lines().rev();
    let mut status = lines.filter(|line| line.starts_with('#') && line.contains(" cov: "));
    status.next().unwrap_or("nothing was run").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
#2\tINITED cov: 10 ft: 12
#4000000\tDONE   cov: 115 ft: 317 corp: 41/1990b lim: 1886 exec/s: 0 rss: 28Mb
###### Recommended dictionary. ######
stat::number_of_executed_units: 4000000
stat::average_exec_per_sec:     0
";

    #[test]
    fn the_tests_run_ten_million_inputs() {
        let runs: u64 = TARGETS.iter().map(|target| target.runs).sum();
        assert_eq!(runs, 10_000_000);
    }

    #[test]
    fn the_log_has_the_numbers() {
        assert_eq!(
            stat(LOG, "stat::number_of_executed_units:"),
            Some(4_000_000)
        );
        assert_eq!(stat("", "stat::number_of_executed_units:"), None);
        assert!(last_status(LOG).starts_with("#4000000"));
        assert_eq!(last_status("x"), "nothing was run");
    }
}
