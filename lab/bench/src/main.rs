//! What tracing costs: operations on eventfds and mappings, of no device and of a VFIO device.
//!
//! Measures each operation without a tracer, beside `remap trace` with either form of hooks, and
//! without a tracer again, all in one run. Only ratios and differences within the run mean
//! anything. With the lab's `--icount` a nanosecond is an instruction, and the figures are the same
//! on every run. `remap` is the one on the PATH, so that one benchmark measures several builds.
//!
//! ```sh
//! cargo xtask lab --kernel 6.12 --icount --driver none -- remap-lab-bench
//! ```

mod measure;
mod operation;
mod tracer;

use anyhow::{Context as _, Result};
use measure::{Measured, measure, settled};
use operation::Subject;
use tracer::Tracer;

/// The forms of hooks: fentry and fexit, and kprobes.
const FORMS: [&[&str]; 2] = [&[], &["--kprobes"]];

fn main() -> Result<()> {
    let devices = std::env::var("REMAP_LAB_DEVICES").context("not in the lab's guest")?;
    let device = devices.split_whitespace().next().context("no device")?;
    let before = settled(device)?;
    let mut beside = Vec::new();
    for form in FORMS {
        let tracer = Tracer::start(form)?;
        beside.push(measure(device)?);
        tracer.stop()?;
    }
    let after = measure(device)?;
    let [fentry, kprobes] = &beside[..] else {
        unreachable!("a measurement for each form");
    };
    print_table([&before, fentry, kprobes, &after]);
    Ok(())
}

/// One row for an operation of other programs; two for a traced one, whose records the tracer
/// takes meanwhile on the same processor.
fn print_table(runs: [&[Measured]; 4]) {
    println!(
        "{:<42} {:>9} {:>9} {:>9} {:>9}  {:>8} {:>8}",
        "ns per operation (median)", "before", "fentry", "kprobes", "after", "fentry", "kprobes"
    );
    for (n, Measured { name, subject, .. }) in runs[0].iter().enumerate() {
        let costs = runs.map(|run| run[n].cost);
        print_row(name, costs.map(|cost| cost.wall_ns));
        if *subject == Subject::Device {
            print_row(
                "  the calling thread alone",
                costs.map(|cost| cost.thread_ns),
            );
        }
    }
}

fn print_row(name: &str, [before, fentry, kprobes, after]: [u64; 4]) {
    let ratio = |with: u64| with as f64 / before as f64;
    println!(
        "{name:<42} {before:>9} {fentry:>9} {kprobes:>9} {after:>9}  {:>7.2}x {:>7.2}x",
        ratio(fentry),
        ratio(kprobes),
    );
}
