//! `cargo xtask mutants`: how much of remap-core its tests hold.
//!
//! cargo-mutants changes one function or operator at a time and runs the tests. A mutant that the
//! tests fail on is caught; one that does not compile is unviable. This takes hours for the whole
//! crate, so CI does not run it.

use fs_err as fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde::Deserialize;

use crate::cache;
use crate::process::command;
use crate::tool::Tool;

const MUTANTS: Tool = Tool {
    name: "cargo-mutants",
    version: "27.1.0",
    takes: "about 3 minutes",
};

/// Cases of each property test: a sixth of the time of the usual 256.
const CASES: &str = "16";

/// Change remap-core one place at a time, and count the changes that its tests catch.
#[derive(Parser)]
pub struct Args {
    /// Only this file or glob, for example `order.rs` or `remap-core/src/parse/*.rs` (repeatable)
    #[arg(short, long = "file", value_name = "GLOB")]
    files: Vec<String>,
    /// Only list the mutants
    #[arg(long)]
    list: bool,
    /// How many mutants are built and tested at the same time
    #[arg(short, long, default_value_t = 1)]
    jobs: u32,
    /// Fail if the score in percent is below this
    #[arg(long, value_name = "PERCENT")]
    min: Option<f64>,
    /// Further arguments of cargo-mutants, for example `--re FUNCTION` or `--shard 1/4`
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs `cargo xtask mutants`.
pub fn main(args: &Args) -> Result<u8> {
    let program = MUTANTS.ensure()?.join(MUTANTS.name);
    let place = cache::target().join("mutants");
    fs::create_dir_all(&place)?;
    let mut cargo = command(&program.to_string_lossy(), ["mutants"]);
    cargo
        .args([
            "--package",
            "remap-core",
            "--cap-lints=true",
            "--colors=never",
            // The crate has no doc tests, and rustdoc takes a second to find none.
            "--cargo-test-arg=--tests",
        ])
        .args(["--jobs", &args.jobs.to_string(), "--output"])
        .arg(&place);
    for file in &args.files {
        cargo.args(["--file", file]);
    }
    if args.list {
        cargo.arg("--list");
    }
    cargo
        .args(&args.more)
        .env("REMAP_BPF_SKIP", "1")
        .env("RUST_BACKTRACE", "0")
        // Each mutant is built anew and tested once: no debug information, fewer random cases.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .env("PROPTEST_CASES", CASES)
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(cache::root());
    let status = cargo.status().context("running cargo-mutants")?;
    match status.code() {
        Some(0) if args.list => return Ok(0),
        // 2: some were missed; 3: some ran into the timeout.
        Some(0 | 2 | 3) if !args.list => {}
        _ => bail!("cargo-mutants: {status}"),
    }
    let out = place.join("mutants.out");
    let counts = Counts::read(&out.join("outcomes.json"))?;
    println!(
        "{counts}; the missed ones: {}",
        out.join("missed.txt").display()
    );
    let enough = args.min.is_none_or(|min| counts.score() >= min);
    Ok(u8::from(!enough))
}

/// The counts in cargo-mutants' `outcomes.json`.
#[derive(Debug, Deserialize)]
struct Counts {
    caught: u32,
    missed: u32,
    timeout: u32,
    unviable: u32,
}

impl Counts {
    fn read(path: &Path) -> Result<Counts> {
        let text = fs::read(path)?;
        serde_json::from_slice(&text).with_context(|| format!("parsing {}", path.display()))
    }

    /// A mutant that runs into the timeout would not pass, so it counts as caught.
    fn caught(&self) -> u32 {
        self.caught + self.timeout
    }

    fn viable(&self) -> u32 {
        self.caught() + self.missed
    }

    /// In percent; 100 where nothing could be changed.
    fn score(&self) -> f64 {
        match self.viable() {
            0 => 100.0,
            viable => 100.0 * f64::from(self.caught()) / f64::from(viable),
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of {} viable mutants caught ({:.1} %), {} by a timeout; {} unviable",
            self.caught(),
            self.viable(),
            self.score(),
            self.timeout,
            self.unviable
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_counts_viable_mutants_only() {
        let json = r#"{"outcomes": [], "total_mutants": 12, "missed": 2, "caught": 7, "timeout": 1, "unviable": 2}"#;
        let counts: Counts = serde_json::from_str(json).unwrap();
        assert_eq!(
            counts.to_string(),
            "8 of 10 viable mutants caught (80.0 %), 1 by a timeout; 2 unviable"
        );
    }

    #[test]
    fn nothing_to_change_is_a_full_score() {
        let counts = Counts {
            caught: 0,
            missed: 0,
            timeout: 0,
            unviable: 3,
        };
        assert!(counts.score() >= 100.0);
    }
}
