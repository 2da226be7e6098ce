//! `--otlp URL`: spans to a collector, as they end.
//!
//! The trace puts spans into a queue with bounds and never waits for the collector: a thread with a
//! reactor of its own sends them. What does not fit, or is not accepted, is counted by reason.

mod client;
mod endpoint;
mod queue;
#[cfg(test)]
mod tests;
mod wire;

use std::{io, time::Duration};

use remap_core::{
    export::{
        Rows as _, derived,
        span::{Span, Spanning, Spans},
    },
    model::{Blind, Exported, Output, Summary},
    perfdata::ClockPair,
    sink::observe::Observer,
    vmm::downtime::Downtime,
};
use rustix::rand::{GetRandomFlags, getrandom};

pub use endpoint::Endpoint;
pub use queue::{Counts, Dropped, Queue};

use crate::{
    exit::{Error, say},
    live::clock::{WallClock, monotonic_ns},
    threads,
};

/// How long the end of a trace waits for the collector.
pub const LAST: Duration = Duration::from_secs(2);

/// Sends the spans of a trace.
pub struct Exporter {
    queue: Queue,
    spans: Spanning<Sent>,
}

/// Puts spans into the queue.
struct Sent(Queue);

impl Spans for Sent {
    fn span(&mut self, span: Span) -> io::Result<()> {
        self.0.push(wire::span(&span));
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
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
        let monotonic_ns = monotonic_ns()?;
        let clocks = ClockPair {
            wall_ns: WallClock::measure()?.wall_of(monotonic_ns),
            monotonic_ns,
        };
        client::start(target, queue.clone()).map_err(|error| threads::refused(&error))?;
        let spans = Spanning::new(Sent(queue.clone()), Some(clocks), &seed()?);
        Ok(Self { queue, spans })
    }

    /// Its queue: what was sent, and what was not.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    fn row(&mut self, row: &derived::Derived) {
        // The queue takes everything.
        let _ = self.spans.row(row);
    }
}

impl Observer for Exporter {
    fn output(&mut self, output: &Output) {
        derived::derive(output).iter().for_each(|row| self.row(row));
    }

    fn downtime(&mut self, downtime: &Downtime) {
        self.row(&derived::downtime(downtime));
    }

    fn blind(&mut self, blind: &Blind) {
        derived::blind(blind).iter().for_each(|row| self.row(row));
    }

    fn flush(&mut self) {
        if let Ok(now_ns) = monotonic_ns() {
            let _ = self.spans.until(now_ns);
        }
    }

    /// Ends the open migrations, and waits for the collector, for [`LAST`] at most.
    fn summary(&mut self, summary: &mut Summary) {
        let _ = self.spans.end();
        let counts = self.queue.finish(LAST);
        let dropped = counts.dropped.into_iter();
        summary.exported = Some(Exported {
            spans: counts.sent,
            dropped: dropped
                .map(|(why, count)| (why.to_owned(), count))
                .collect(),
        });
    }
}

/// A number that distinguishes the ids of this trace from those of others.
fn seed() -> io::Result<String> {
    let mut seed = [0; 8];
    getrandom(&mut seed, GetRandomFlags::empty())?;
    Ok(format!("{:x}", u64::from_ne_bytes(seed)))
}
