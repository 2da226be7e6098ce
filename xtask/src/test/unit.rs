//! The tests that need no device.

use std::process::Stdio;

use anyhow::{Context, Result};

use super::lint::hostside;
use super::report::Report;
use crate::process::step;
use crate::{cache, interrupt, prometheus};

/// Runs the workspace's tests whose name contains `filter`.
pub fn run(filter: Option<&str>, report: &mut Report) -> Result<()> {
    interrupt::check()?;
    let programs = {
        let _lock = cache::lock()?;
        prometheus::ensure()?
    };
    step("unit tests", || {
        let mut cargo = hostside(&["test", "--quiet", "--workspace", "--no-fail-fast"]);
        // The long form names each test; cargo's --quiet would shorten it to dots.
        // Ignored are the tests that need programs of others, which are there now.
        cargo
            .args(["--", "--format=pretty", "--include-ignored"])
            .args(filter)
            .env("REMAP_PROMETHEUS", &programs);
        let output = cargo
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("running cargo test")?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let failed = report.failed;
        let ended = report.program("unit", &printed);
        if !output.status.success() {
            print!("{printed}");
            if !ended || report.failed == failed {
                report.fail(format!("unit: cargo test: {}", output.status));
            }
        }
        Ok(())
    })
}
