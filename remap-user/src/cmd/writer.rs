//! A trace's output on its way into the queue of stdout.

use std::io::{self, Write};

use remap_core::{model::Summary, sink::observe::Observer};

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

/// The observer of a sink on a [`Writer`]: the summary says how many lines were dropped, and is never
/// dropped itself.
pub struct Bounded(pub Outbox);

impl Observer for Bounded {
    fn summary(&mut self, summary: &mut Summary) {
        summary.withheld.unread = self.0.last();
    }
}
