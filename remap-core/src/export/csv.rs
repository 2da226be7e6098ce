//! CSV (RFC 4180): a line for each derived event, the same columns for all. What is not known, and what an event
//! of this kind does not have, is empty.

use std::io::{self, Write};

use super::{
    Rows,
    derived::{Column, Derived, Value},
};
use crate::perfdata::ClockPair;

/// The columns before those of [`Column`].
const FIRST: [&str; 6] = ["kind", "time_ns", "wall_ns", "pid", "tid", "comm"];

/// Writes CSV.
#[derive(Debug)]
pub struct Csv<W> {
    writer: W,
    /// Without it there is no wall clock.
    clocks: Option<ClockPair>,
    line: String,
}

impl<W: Write> Csv<W> {
    /// Writes the line of names.
    ///
    /// # Errors
    /// What the writer returns.
    pub fn new(writer: W, clocks: Option<ClockPair>) -> io::Result<Self> {
        let mut csv = Self {
            writer,
            clocks,
            line: String::new(),
        };
        let names = Column::ALL.iter().map(|column| column.name());
        for name in FIRST.into_iter().chain(names) {
            csv.text(name);
        }
        csv.end_line()?;
        Ok(csv)
    }

    fn number(&mut self, number: Option<u64>) {
        if let Some(number) = number {
            self.line.push_str(&number.to_string());
        }
        self.line.push(',');
    }

    fn text(&mut self, text: &str) {
        if text.contains(['"', ',', '\n', '\r']) {
            self.line.push('"');
            self.line.push_str(&text.replace('"', "\"\""));
            self.line.push('"');
        } else {
            self.line.push_str(text);
        }
        self.line.push(',');
    }

    /// Ends a line, without the comma behind its last value.
    fn end_line(&mut self) -> io::Result<()> {
        self.line.pop();
        self.line.push_str("\r\n");
        self.writer.write_all(self.line.as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

impl<W: Write> Rows for Csv<W> {
    fn row(&mut self, row: &Derived) -> io::Result<()> {
        self.text(row.kind.name());
        self.number(Some(row.time_ns));
        self.number(self.clocks.and_then(|clocks| clocks.wall_of(row.time_ns)));
        let task = row.task.as_ref();
        self.number(task.map(|task| task.pid.into()));
        self.number(task.map(|task| task.tid.into()));
        self.text(task.map_or("", |task| &task.comm));
        for column in Column::ALL {
            match row.value(*column) {
                None => self.number(None),
                Some(Value::Number(number)) => self.number(Some(*number)),
                Some(Value::Text(text)) => self.text(text),
            }
        }
        self.end_line()
    }

    fn end(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
