//! `cargo xtask demo`: the main job, end to end, on each kernel and encoding.

mod check;
mod vmm;

use anyhow::{Context, Result};
use clap::Parser;

use crate::build;
use crate::kernel::{self, Series};
use crate::lab;
use crate::process::step;
use crate::spec::{Driver, Spec};
use crate::watch::Output;
use crate::{driver, interrupt, setup};

/// Show remap cycles on a real device, on kernels 6.1 and 6.12, and a migration by QEMU.
#[derive(Parser)]
pub struct Args {
    /// State-change cycles of each drill
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    cycles: u32,
}

/// What the guest runs.
const SCRIPT: &str = include_str!("demo.sh");
/// What divides the text for the reader from the JSON Lines for the check.
const DIVIDER: &str = "--- json lines ---\n";
/// The address that the lab gives its first device.
const DEVICE: &str = "0000:01:00.0";

/// The kernels and encodings that are shown.
const SHOWN: &[(Series, &str)] = &[
    (Series::V6_1, "bitmap"),
    (Series::V6_1, "vectors"),
    (Series::V6_12, "vectors"),
];

/// The kernel on which a VMM migrates: it has PRE_COPY, which 6.1 has not.
const VMM: Series = Series::V6_12;

/// Runs `cargo xtask demo`.
pub fn main(args: &Args) -> Result<u8> {
    let series = vec![Series::V6_1, Series::V6_12];
    setup::run(&[setup::Requirement::Build, setup::Requirement::Lab(series)])?;
    step("building remap", || build::binaries(&build::LAB))?;
    interrupt::watch()?;
    let mut failures = Vec::new();
    for &(series, encoding) in SHOWN {
        interrupt::check()?;
        let title = format!("kernel {}, encoding {encoding}", series.label());
        if let Err(why) = show(series, encoding, args.cycles, &title) {
            println!("{title}: FAILED: {why:#}");
            failures.push(title);
        }
        println!();
    }
    interrupt::check()?;
    let title = format!("kernel {}, QEMU", VMM.label());
    if let Err(why) = vmm::show(VMM, &title) {
        println!("{title}: FAILED: {why:#}");
        failures.push(title);
    }
    println!();
    if failures.is_empty() {
        println!("remap demo: every cycle complete, nothing lost, on every kernel and encoding");
        return Ok(0);
    }
    println!("remap demo: FAILED on {}", failures.join("; "));
    Ok(1)
}

/// Boots one guest, shows the tracer's text and checks its JSON Lines.
fn show(series: Series, encoding: &str, cycles: u32, title: &str) -> Result<()> {
    let kernel = kernel::ensure(series, false)?;
    let module = driver::ensure(&kernel)?;
    println!("=== {title}: remap trace beside remap drill {DEVICE} --cycles {cycles} ===");
    let (cycles_text, script) = (cycles.to_string(), SCRIPT.to_owned());
    let argv = [
        "sh",
        "-c",
        &script,
        "remap-demo",
        DEVICE,
        &cycles_text,
        DIVIDER,
    ];
    let spec = Spec {
        driver_args: format!("encoding={encoding}"),
        ..Spec::new(
            kernel,
            Driver::Built(module),
            argv.map(str::to_owned).to_vec(),
        )
    };
    let outcome = step(&format!("booting {}", spec.kernel.release), || {
        lab::run(&spec, Output::Captured)
    })?;
    let stdout = String::from_utf8_lossy(&outcome.stdout);
    let (text, json) = stdout.split_once(DIVIDER).unwrap_or((&stdout, ""));
    print!("{}", shortened(text));
    eprint!("{}", String::from_utf8_lossy(&outcome.stderr));
    outcome.succeeded("the guest's script")?;
    let log = || format!("the guest's log is {}", outcome.log.display());
    let summary = check::check(json, u64::from(cycles)).with_context(log)?;
    println!("judged: {summary}");
    Ok(())
}

/// The beginning of the live lines, which have a time, and all of the table.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 12;
    let mut short = String::new();
    let live = text.lines().filter(|line| line.starts_with('+')).count();
    let mut before = 0;
    for line in text.lines() {
        if line.starts_with('+') {
            before += 1;
            if before == SHOWN + 1 {
                short.push_str(&format!("  … {} more lines …\n", live - SHOWN));
            }
            if before > SHOWN {
                continue;
            }
        }
        short.push_str(line);
        short.push('\n');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn the_table_is_never_shortened() {
        let live: String = (0..20).map(|n| format!("+0.{n} line\n")).collect();
        let short = shortened(&format!("{live}\n0000:01:00.0: 3 state changes\nlost 0\n"));
        assert!(short.starts_with("+0.0 line\n"));
        assert!(short.contains("+0.11 line\n  … 8 more lines …\n\n0000:01:00.0"));
        assert!(short.ends_with("lost 0\n"));
        assert_eq!(shortened("+0.1 x\nend\n"), "+0.1 x\nend\n");
    }
}
