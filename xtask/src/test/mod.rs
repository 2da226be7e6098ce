//! `cargo xtask test`: lints, unit tests, fuzz targets, and the tests that need a device, in guests of
//! each kernel; one plain line at the end.

mod fuzz;
pub mod lab;
mod lint;
mod report;
mod unit;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::kernel::Choice;
use crate::{interrupt, setup};
use report::Report;

/// Run every test; the last line counts them.
#[derive(Parser)]
pub struct Args {
    /// Only the guests of this kernel: 6.1, 6.12, 6.12-rt or newest (or its number)
    #[arg(long, default_value = "all", hide_default_value = true)]
    kernel: Choice,
    /// Only this part
    #[arg(long)]
    only: Option<Part>,
    /// Only the tests whose name contains this
    filter: Option<String>,
}

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Formatting, clippy, rustdoc, and that everything builds.
    Lint,
    /// What needs no device, on this machine.
    Unit,
    /// 10 million inputs of the fuzz targets, on this machine.
    Fuzz,
    /// What needs a device, in guests.
    Lab,
}

/// Runs `cargo xtask test`.
pub fn main(args: &Args) -> Result<u8> {
    interrupt::watch()?;
    let series = args.kernel.matrix();
    let filter = args.filter.as_deref();
    let wanted = |part| args.only.is_none_or(|only| only == part);
    let mut report = Report::default();
    if wanted(Part::Lint) || wanted(Part::Lab) {
        setup::guests(&args.kernel, &series)?;
    }
    if wanted(Part::Lint) {
        setup::lint_tools()?;
        lint::run(&series, filter, &mut report)?;
    }
    if wanted(Part::Unit) {
        setup::run(&[setup::Requirement::Fuzz])?;
        unit::run(filter, &mut report)?;
    }
    if wanted(Part::Fuzz) {
        fuzz::run(filter, &mut report)?;
    }
    if wanted(Part::Lab) {
        lab::run(&series, filter, &mut report)?;
    }
    for failure in &report.failures {
        println!("failed: {failure}");
    }
    println!("{}", report.line());
    // A filter that matches nothing has tested nothing.
    Ok(u8::from(report.failed > 0 || report.passed == 0))
}
