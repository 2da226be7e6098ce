//! Recordings in the formats of other tools. An exporter is a sink: it gets what a report would show, and
//! writes to the writer that it gets.
//!
//! [`derived`] makes a flat row of each output. `csv` and `perf` write these rows; [`span`] makes spans of them, which
//! `otlp` writes.

pub mod csv;
pub mod derived;
pub mod otlp;
pub mod perf;
pub mod span;

use std::io;

use crate::{
    event::Event,
    model::{Blind, Output, Summary},
    sink::{Sink, select::Selection},
    vmm::{checkpoint::Checkpoint, downtime::Downtime},
};
use derived::{Derived, derive};

/// Takes derived events, in the order in which they become known.
pub trait Rows {
    /// One of them.
    ///
    /// # Errors
    /// What the writer returns.
    fn row(&mut self, row: &Derived) -> io::Result<()>;

    /// The end.
    ///
    /// # Errors
    /// What the writer returns.
    fn end(&mut self) -> io::Result<()>;
}

/// The sink that derives events.
#[derive(Debug)]
pub struct Deriving<R> {
    rows: R,
    /// What holds for calls too, which the selection of a sink lets pass.
    selection: Selection,
}

impl<R: Rows> Deriving<R> {
    /// Derives the events that `rows` takes. `selection`: as of the lines.
    pub fn new(rows: R, selection: Selection) -> Self {
        Self { rows, selection }
    }

    /// Whether calls are wanted: those of no class are left out where classes are named.
    fn has(&self, call: &Derived) -> bool {
        let Selection {
            classes,
            min_latency_ns,
            regions,
            ..
        } = &self.selection;
        let region = call.region();
        classes.is_none()
            && min_latency_ns.is_none_or(|least| call.duration_ns.is_some_and(|ns| ns >= least))
            && regions
                .as_ref()
                .is_none_or(|wanted| region.is_some_and(|region| wanted.contains(&region)))
    }
}

impl<R: Rows> Sink for Deriving<R> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        derive(output).iter().try_for_each(|row| self.rows.row(row))
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        let device = event.device().map(|_| device);
        match derived::call(event, device) {
            Some(call) if self.has(&call) => self.rows.row(&call),
            _ => Ok(()),
        }
    }

    fn checkpoint(&mut self, _: &Checkpoint) -> io::Result<()> {
        Ok(())
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        self.rows.row(&derived::downtime(downtime))
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        match derived::blind(blind) {
            Some(row) => self.rows.row(&row),
            None => Ok(()),
        }
    }

    fn owner(&mut self, _: u32, _: Option<&str>) {}

    fn summary(&mut self, _: &Summary) -> io::Result<()> {
        self.rows.end()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
