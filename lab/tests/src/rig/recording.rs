//! Short recordings for the unit tests of remap-core: `cargo xtask fixtures` writes them to
//! `remap-core/tests/fixtures`.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::lab::Lab;
use super::qemu::scenario;
use super::qemu::stage::Hosts;
use super::suite::Group;
use super::trace::Trace;

/// The option that names a recording.
pub const OPTION: &str = "--recording";

/// Where the tracer writes it.
const FILE: &str = "/run/recording";

/// Makes the recording of this name, and writes it to stdout.
pub fn make(name: &str) -> Result<ExitCode> {
    match name {
        "drill" => drill()?,
        "migration" => migration()?,
        _ => bail!("unknown recording {name}: use drill or migration"),
    }
    let mut out = io::stdout().lock();
    out.write_all(&fs::read(FILE)?)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// A drill of two cycles, from before the open to after the close.
fn drill() -> Result<()> {
    let lab = Lab::new(Group::Vectors)?;
    let trace = Trace::start(&["--record", FILE])?;
    lab.drill(&["--cycles", "2"])?.expect(0)?;
    trace.end(0)?.found(&[])
}

/// A migration by QEMU, with the logs of both.
fn migration() -> Result<()> {
    let scenario = &scenario::ONE_WAY;
    let mut hosts = Hosts::new()?;
    let logs: Vec<String> = scenario.logs().collect();
    let logs = logs.iter().flat_map(|log| ["--qemu-log", log]);
    let arguments: Vec<&str> = ["--record", FILE].into_iter().chain(logs).collect();
    let trace = Trace::start(&arguments)?;
    scenario.play(&mut hosts)?;
    hosts.clean()?;
    trace.end(0)?.found(&[])
}
