//! `--otlp URL`: spans to a collector, as they end.
//!
//! The trace puts spans into a queue with bounds and never waits for the collector: a thread with a
//! reactor of its own sends them. What does not fit, or is not accepted, is counted by reason.

mod client;
mod endpoint;
mod queue;
mod sink;
#[cfg(test)]
mod tests;
mod wire;

use std::{io, time::Duration};

use remap_core::spans::{Span, Spans};
use rustix::rand::{GetRandomFlags, getrandom};

pub use endpoint::Endpoint;
pub use queue::{Counts, Dropped, Queue};
pub use sink::Traced;

use crate::{
    exit::{Error, say},
    live::clock::WallClock,
    threads,
};

/// How long the end of a trace waits for the collector.
pub const LAST: Duration = Duration::from_secs(2);

/// Sends the spans of a trace.
pub struct Exporter {
    queue: Queue,
    clock: WallClock,
    spans: Spans,
}

impl Exporter {
    /// Starts the thread that sends.
    ///
    /// # Errors
    /// If the name of the collector has no address, a thread cannot be started, or a clock not be read.
    pub fn start(endpoint: &Endpoint) -> Result<Self, Error> {
        let target = endpoint.resolve()?;
        if let Some(sentence) = target.sentence() {
            say(format_args!("{sentence}"));
        }
        let queue = Queue::default();
        let clock = WallClock::measure()?;
        client::start(target, queue.clone()).map_err(|error| threads::refused(&error))?;
        Ok(Self {
            queue,
            clock,
            spans: Spans::new(seed()?),
        })
    }

    /// Its queue: what was sent, and what was not.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    fn output(&mut self, output: &remap_core::model::Output) {
        let (queue, clock) = (&self.queue, self.clock);
        self.spans.output(output, |span| put(queue, clock, &span));
    }

    /// Ends the open migrations, and waits for the collector, for [`LAST`] at most.
    fn finish(&mut self) -> Counts {
        let (queue, clock) = (&self.queue, self.clock);
        self.spans.finish(|span| put(queue, clock, &span));
        self.queue.finish(LAST)
    }
}

/// A number that distinguishes the ids of this trace from those of others.
fn seed() -> io::Result<u64> {
    let mut seed = [0; 8];
    getrandom(&mut seed, GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(seed))
}

fn put(queue: &Queue, clock: WallClock, span: &Span) {
    queue.push(wire::span(span, |ns| clock.wall_of(ns)));
}
