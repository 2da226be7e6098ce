//! `cargo xtask bench`: what tracing costs, counted in instructions.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use tempfile::TempDir;

use crate::build::{self, Binary};
use crate::kernel::{self, Choice};
use crate::lab;
use crate::process::step;
use crate::spec::{Driver, Spec};
use crate::watch::Output;
use crate::{interrupt, setup};

/// Measure what tracing costs: eventfds and mappings of no device, and a VFIO device that is
/// traced.
///
/// The guest counts instructions instead of time (see `lab --icount`), so that the same binaries
/// give the same figures on any machine.
#[derive(Parser)]
pub struct Args {
    /// The kernel to boot: 6.1, 6.12, 6.12-rt, newest (or its number) or all
    #[arg(long, default_value = "all")]
    kernel: Choice,
    /// Measure this static binary of remap instead of building one
    #[arg(long, value_name = "FILE")]
    remap: Option<PathBuf>,
}

/// Runs `cargo xtask bench`.
pub fn main(args: &Args) -> Result<u8> {
    let series = setup::lab(&args.kernel)?;
    let mut binaries = vec![Binary::Guest, Binary::LabBench];
    let given = args.remap.as_deref().map(overlay).transpose()?;
    if given.is_none() {
        binaries.push(Binary::Remap);
    }
    step("building remap", || build::binaries(&binaries))?;
    interrupt::watch()?;
    let mut code = 0;
    for series in series {
        interrupt::check()?;
        let kernel = kernel::ensure(series, false)?;
        println!("kernel {}:", kernel.release);
        let spec = Spec {
            smp: 1,
            icount: true,
            binaries: binaries.clone(),
            overlays: given.iter().map(|given| given.path().to_owned()).collect(),
            ..Spec::new(kernel, Driver::None, vec![Binary::LabBench.name().into()])
        };
        let outcome = lab::run(&spec, Output::Both)?;
        if let Err(why) = outcome.succeeded("the benchmark") {
            println!("FAILED: {why}");
            code = 1;
        }
    }
    Ok(code)
}

/// A folder for the guest's root that holds this binary as `remap`.
fn overlay(remap: &Path) -> Result<TempDir> {
    let root = tempfile::tempdir().context("making a folder for the binary")?;
    let to = root.path().join("bin").join(Binary::Remap.name());
    fs::create_dir(root.path().join("bin"))?;
    fs::copy(remap, &to)?;
    Ok(root)
}
