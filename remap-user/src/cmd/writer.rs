//! A trace's output on its way into the queue of stdout.

use std::io::{self, Write};

use remap_core::{
    event::Event,
    model::{Blind, Output, Summary},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, downtime::Downtime},
};

use super::outbox::Outbox;

/// Collects the output, and queues it at each flush.
pub struct Writer {
    pending: Vec<u8>,
    outbox: Outbox,
}

impl Writer {
    /// Writes into `outbox`.
    pub fn new(outbox: Outbox) -> Self {
        Self {
            pending: Vec::new(),
            outbox,
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.outbox.push(std::mem::take(&mut self.pending))
    }
}

/// A sink on a [`Writer`]: its summary says how many lines were dropped, and is never dropped itself.
pub struct Bounded<S> {
    sink: S,
    outbox: Outbox,
}

impl<S: Sink> Bounded<S> {
    /// `sink` writes into `outbox`.
    pub fn new(sink: S, outbox: Outbox) -> Self {
        Self { sink, outbox }
    }
}

impl<S: Sink> Sink for Bounded<S> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
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
        // What is pending is dropped or accepted before the sum.
        self.sink.flush()?;
        let mut summary = summary.clone();
        summary.withheld.unread = self.outbox.last();
        self.sink.summary(&summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
