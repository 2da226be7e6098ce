//! Sends what passes on its way to a sink.

use std::io;

use remap_core::{
    event::Event,
    model::{Blind, Exported, Output, Summary},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, downtime::Downtime},
};

use super::Exporter;

/// A sink whose outputs are sent as spans too, if there is an exporter.
pub struct Traced<S> {
    sink: S,
    exporter: Option<Exporter>,
}

impl<S: Sink> Traced<S> {
    /// Sends what `sink` gets.
    pub fn new(sink: S, exporter: Option<Exporter>) -> Self {
        Self { sink, exporter }
    }
}

impl<S: Sink> Sink for Traced<S> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        if let Some(exporter) = &mut self.exporter {
            exporter.output(output);
        }
        self.sink.output(output)
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        self.sink.event(event, device)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.sink.checkpoint(checkpoint)
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        self.sink.downtime(downtime)
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        self.sink.blind(blind)
    }

    fn owner(&mut self, pid: u32, vm: Option<&str>) {
        self.sink.owner(pid, vm);
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let Some(exporter) = &mut self.exporter else {
            return self.sink.summary(summary);
        };
        // The lines so far first: the collector may be slow.
        self.sink.flush()?;
        let counts = exporter.finish();
        let dropped = counts.dropped.into_iter();
        let mut summary = summary.clone();
        summary.exported = Some(Exported {
            spans: counts.sent,
            dropped: dropped
                .map(|(why, count)| (why.to_owned(), count))
                .collect(),
        });
        self.sink.summary(&summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
