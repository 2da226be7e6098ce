//! `remap schema`: what the lines of `--json` look like, and the records of `--perf-events`.

use std::io::{self, Write};

use anyhow::Context as _;
use clap::Args;
use schemars::JsonSchema;

use crate::exit::Error;
use crate::respond::verdict;
use remap_core::{c_header, check::CheckLine, sink::line};

/// Prints the JSON Schema of the lines of trace, serve and drill with --json, or the records of trace
/// --perf-events as a C header.
#[derive(Args, Debug)]
pub struct Schema {
    /// Print the C header.
    #[arg(long)]
    c: bool,
}

impl Schema {
    /// Prints it.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn run(self) -> Result<(), Error> {
        let text = match self.c {
            true => c_header::text(),
            false => schema(),
        };
        let written = io::stdout().lock().write_all(text.as_bytes());
        Ok(written.context("writing the schema to stdout")?)
    }
}

/// One line of `--json`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is of use")]
enum Line {
    /// A line of `remap trace`.
    Trace(Box<line::Line<'static>>),
    /// A line of `remap drill`; those of `remap serve` are among them.
    Respond(verdict::Line),
    /// A line of `remap check`.
    Check(CheckLine),
}

/// The JSON Schema (draft 2020-12) of one line, as text.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Line);
    format!("{:#}\n", schema.as_value())
}
