//! The command line: parse, dispatch.

use clap::{Parser, Subcommand};

use crate::cmd::{
    check::Check, doctor::Doctor, drill::Drill, export::Export, list::List, record::Record,
    report::Report, schema::Schema, serve::Serve, trace::Trace,
};
use crate::confine::needs;
use crate::exit::Error;

/// Traces VFIO device passthrough, and serves the remap IRQ.
#[derive(Debug, Parser)]
#[command(name = "remap", version, after_long_help = needs::section())]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Doctor(Doctor),
    List(List),
    Trace(Trace),
    Record(Record),
    Report(Report),
    Export(Export),
    Check(Check),
    Serve(Serve),
    Drill(Drill),
    Schema(Schema),
}

impl Cli {
    /// Runs the subcommand. Returns the exit code: 0, but for `record`, which passes on that of its
    /// command.
    ///
    /// # Errors
    /// What the subcommand returns.
    pub fn run(self) -> Result<u8, Error> {
        let done = match self.command {
            Command::Doctor(doctor) => doctor.run(),
            Command::Trace(trace) => trace.run(),
            Command::Record(record) => return record.run(),
            Command::Report(report) => report.run(),
            Command::Export(export) => export.run(),
            Command::Check(check) => check.run(),
            Command::List(list) => list.run(),
            Command::Serve(serve) => serve.run(),
            Command::Drill(drill) => drill.run(),
            Command::Schema(schema) => schema.run(),
        };
        done.map(|()| 0)
    }
}
