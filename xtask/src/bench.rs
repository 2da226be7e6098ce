//! `cargo xtask bench`: what tracing costs those that it does not concern, counted in instructions.

use anyhow::Result;
use clap::Parser;

use crate::build::{self, Binary};
use crate::kernel::{self, Series};
use crate::lab::{self, Driver, Spec};
use crate::process::step;
use crate::watch::Output;
use crate::{interrupt, setup};

/// Measure what tracing costs eventfds and mappings that belong to no device.
///
/// The guest counts instructions instead of time (see `lab --icount`), so that the same binaries
/// give the same figures on any machine.
#[derive(Parser)]
pub struct Args {}

/// Runs `cargo xtask bench`.
pub fn main(_: &Args) -> Result<u8> {
    setup::run(&[setup::Need::Build, setup::Need::Lab(Series::ALL.to_vec())])?;
    let binaries = vec![Binary::Guest, Binary::Remap, Binary::LabBench];
    step("building remap", || build::binaries(&binaries))?;
    interrupt::watch()?;
    let mut code = 0;
    for series in Series::ALL {
        interrupt::check()?;
        let kernel = kernel::ensure(series, false)?;
        println!("kernel {}:", kernel.release);
        let spec = Spec {
            smp: 1,
            icount: true,
            binaries: binaries.clone(),
            ..Spec::new(kernel, Driver::None, vec![Binary::LabBench.name().into()])
        };
        let outcome = lab::run(&spec, Output::Both)?;
        match outcome.verdict {
            Ok(0) => continue,
            Ok(status) => println!("FAILED: the benchmark exited with {status}"),
            Err(why) => println!("FAILED: {why}"),
        }
        println!("the guest's log is {}", outcome.log.display());
        code = 1;
    }
    Ok(code)
}
