//! The two forms of the output.

use std::fmt::Display;
use std::io::{self, Write};

use remap_core::printable;
use serde::Serialize;

/// How reports are written.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// A line for people each.
    Text,
    /// A JSON object each.
    Json,
}

impl Format {
    /// JSON with `--json`, else text.
    pub fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// Writes one value. In text, what controls a terminal is escaped.
    pub fn write<T: Display + Serialize>(self, to: &mut impl Write, value: &T) -> io::Result<()> {
        match self {
            Self::Text => writeln!(to, "{}", printable::lines(&value.to_string())),
            Self::Json => {
                serde_json::to_writer(&mut *to, value)?;
                writeln!(to)
            }
        }
    }

    /// The line in place of `lines` lines that were dropped.
    pub fn dropped(self, lines: u64) -> Vec<u8> {
        let line = match self {
            Self::Text => {
                format!("… {lines} lines are missing here, because the reader did not read\n")
            }
            Self::Json => format!("{{\"type\":\"dropped\",\"lines\":{lines}}}\n"),
        };
        line.into_bytes()
    }
}
