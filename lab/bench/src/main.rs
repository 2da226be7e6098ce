//! What tracing costs those that it does not concern.
//!
//! Measures operations on eventfds and mappings that belong to no device, without a tracer, beside
//! `remap trace`, and without one again, all in one run. Only ratios and differences within the
//! run mean anything; with the lab's `--icount` a nanosecond is an instruction, and the figures
//! are the same on every run:
//!
//! ```sh
//! cargo xtask lab --kernel 6.12 --icount -- remap-lab-bench
//! ```

mod operation;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use operation::Operation;
use rustix::process::{Pid, Signal, kill_process};

/// Operations in a round.
const COUNT: u32 = 2000;
/// Rounds; their median counts.
const ROUNDS: usize = 5;
/// Where the tracer says that its probes are in place.
const READY: &str = "/run/remap-bench-ready";

fn main() -> Result<()> {
    let mut operations = operation::all()?;
    let before = settled(&mut operations)?;
    let mut traces = Vec::new();
    for form in [[].as_slice(), &["--kprobes"]] {
        let tracer = Tracer::start(form)?;
        traces.push(measure(&mut operations)?);
        tracer.stop()?;
    }
    let after = measure(&mut operations)?;
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9}  {:>8} {:>8}",
        "ns per operation (median)", "before", "fentry", "kprobes", "after", "fentry", "kprobes"
    );
    for (n, operation) in operations.iter().enumerate() {
        let (fentry, kprobes) = (traces[0][n], traces[1][n]);
        let ratio = |with: u64| with as f64 / before[n] as f64;
        println!(
            "{:<34} {:>9} {:>9} {:>9} {:>9}  {:>7.2}x {:>7.2}x",
            operation.name(),
            before[n],
            fentry,
            kprobes,
            after[n],
            ratio(fentry),
            ratio(kprobes),
        );
    }
    Ok(())
}

/// As [`measure`], once the machine has come to rest after its boot: two measurements in a row
/// that differ by at most a twentieth.
fn settled(operations: &mut [Box<dyn Operation>]) -> Result<Vec<u64>> {
    let mut last = measure(operations)?;
    for _ in 0..20 {
        let next = measure(operations)?;
        let alike = |(a, b): (&u64, &u64)| a.abs_diff(*b) * 20 <= *a;
        if last.iter().zip(&next).all(alike) {
            return Ok(next);
        }
        last = next;
    }
    bail!("the machine does not come to rest: {last:?} ns in the last of 20 measurements")
}

/// The median time of each operation, ns.
fn measure(operations: &mut [Box<dyn Operation>]) -> Result<Vec<u64>> {
    operations
        .iter_mut()
        .map(|operation| {
            let mut rounds = (0..ROUNDS)
                .map(|_| round(operation.as_mut()))
                .collect::<Result<Vec<u64>>>()?;
            rounds.sort_unstable();
            Ok(rounds[ROUNDS / 2])
        })
        .collect()
}

fn round(operation: &mut dyn Operation) -> Result<u64> {
    let start = std::time::Instant::now();
    for _ in 0..COUNT {
        operation.run()?;
    }
    let elapsed = u64::try_from(start.elapsed().as_nanos())?;
    Ok(elapsed / u64::from(COUNT))
}

/// `remap trace` beside us.
struct Tracer(Child);

impl Tracer {
    fn start(form: &[&str]) -> Result<Self> {
        if Path::new(READY).exists() {
            fs::remove_file(READY).context("removing the old ready file failed")?;
        }
        let mut child = Command::new("remap")
            .args(["trace", "--json", "--ready-file", READY])
            .args(form)
            .stdout(Stdio::null())
            .spawn()
            .context("cannot run remap")?;
        while !Path::new(READY).exists() {
            if let Some(status) = child.try_wait()? {
                bail!("remap trace ended before it was ready: {status}");
            }
            std::thread::yield_now();
        }
        Ok(Self(child))
    }

    fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::INT)?;
        let status = self.0.wait()?;
        if !status.success() {
            bail!("remap trace failed: {status}");
        }
        Ok(())
    }
}
