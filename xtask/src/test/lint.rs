//! What is checked without running the code. Each lint counts as a test.

use std::process::Command;

use anyhow::Result;

use super::report::Report;
use crate::build;
use crate::kernel::{self, Series};
use crate::lint::RULES;
use crate::process::{command, run as run_command, step};
use crate::{cache, driver, interrupt};

/// Runs the lints whose name contains `filter`.
pub fn run(series: &[Series], filter: Option<&str>, report: &mut Report) -> Result<()> {
    let mut lint = |name: &str, work: &dyn Fn() -> Result<()>| -> Result<()> {
        interrupt::check()?;
        if filter.is_none_or(|filter| name.contains(filter)) {
            report.check(name, &step(name, work));
        }
        Ok(())
    };
    for rule in &RULES {
        lint(&format!("lint: {}", rule.name), &|| rule.run())?;
    }
    lint("lint: format", &|| cargo(&["fmt", "--all", "--check"], &[]))?;
    lint("lint: clippy", &|| {
        cargo(
            &[
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
            &[],
        )
    })?;
    lint("lint: rustdoc", &|| {
        let args = [
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ];
        cargo(&args, &[("RUSTDOCFLAGS", "-D warnings")])
    })?;
    lint("lint: static binaries, with the eBPF programs", &|| {
        build::binaries(&build::LAB)
    })?;
    for &series in series {
        lint(&format!("lint: driver on {}", series.label()), &|| {
            driver::ensure(&kernel::ensure(series, false)?).map(drop)
        })?;
    }
    Ok(())
}

/// Runs cargo without the eBPF toolchain, which lints and unit tests do not need.
fn cargo(args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    run_command(hostside(args).envs(environment.iter().copied()))
}

/// A cargo command on the host's crates.
pub fn hostside(args: &[&str]) -> Command {
    let mut cargo = command("cargo", args);
    cargo.env("REMAP_BPF_SKIP", "1").current_dir(cache::root());
    cargo
}
