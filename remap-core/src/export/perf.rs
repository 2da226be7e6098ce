//! A perf.data file: the records and steps of the recording, and each derived event as a sample of the tracepoint
//! `remap:<kind>` with named fields. A number that is not known is -1, such a text is empty.

use std::{cell::RefCell, io, rc::Rc};

use super::{
    Rows,
    derived::{Column, Derived, Kind, Value},
};
use crate::{
    perfdata::{self, ClockPair, Layout, Machine, Output, Writer},
    printable,
    replay::{Input, Start, Step},
};

/// Writes a perf.data file. Its clones write the same one: one gets the inputs of a replay, one the rows.
pub struct Perf<W>(Rc<RefCell<Writer<W>>>);

impl<W> Clone for Perf<W> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<W: Output> Perf<W> {
    /// Begins the file. Without clocks its times have no relation to the wall clock.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn new(
        out: W,
        (machine, clocks): (Machine, Option<ClockPair>),
        start: &Start,
    ) -> io::Result<Self> {
        let layouts: Vec<Layout> = Kind::ALL
            .iter()
            .map(|kind| {
                let columns = kind.columns().iter();
                let fields = columns.map(|column| (column.name(), column.is_text()));
                Layout {
                    name: kind.name(),
                    fields: fields.collect(),
                }
            })
            .collect();
        let origin = (machine, clocks.unwrap_or_default());
        let mut writer = Writer::with_derived(out, origin, &layouts)?;
        writer.step(&serde_json::to_string(&Step::Start(start.clone()))?)?;
        Ok(Self(Rc::new(RefCell::new(writer))))
    }

    /// Copies an input of the replay.
    ///
    /// # Errors
    /// What the output returns.
    pub fn copy(&self, input: Input<'_>) -> io::Result<()> {
        let mut writer = self.0.borrow_mut();
        match input {
            Input::Record(record) => writer.sample(record),
            Input::Step(step) => {
                writer.step(&serde_json::to_string(step)?)?;
                match step {
                    Step::Losses { losses } => losses.iter().try_for_each(|loss| writer.lost(loss)),
                    // No rounds: a derived event is known later than the records around it.
                    _ => Ok(()),
                }
            }
        }
    }
}

impl<W: Output> Rows for Perf<W> {
    fn row(&mut self, row: &Derived) -> io::Result<()> {
        let layout = Kind::ALL.iter().position(|kind| *kind == row.kind);
        let layout = layout.and_then(|number| u16::try_from(number).ok());
        let columns = row.kind.columns().iter();
        let values: Vec<perfdata::Value> = columns.map(|column| value(row, *column)).collect();
        // perf shows no name of a thread with this id.
        let task = row.task.as_ref();
        let (pid, tid) = task.map_or((u32::MAX, u32::MAX), |task| (task.pid, task.tid));
        let mut writer = self.0.borrow_mut();
        writer.derived(layout.unwrap_or(u16::MAX), (row.time_ns, pid, tid), &values)
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.borrow_mut().finish()
    }
}

fn value(row: &Derived, column: Column) -> perfdata::Value {
    match (row.value(column), column.is_text()) {
        (Some(Value::Text(text)), true) => {
            perfdata::Value::Text(printable::line(text).into_owned())
        }
        (_, true) => perfdata::Value::Text(String::new()),
        (Some(Value::Number(number)), false) => {
            perfdata::Value::Number(i64::try_from(*number).unwrap_or(i64::MAX))
        }
        (_, false) => perfdata::Value::Number(-1),
    }
}
