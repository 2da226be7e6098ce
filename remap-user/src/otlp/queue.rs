//! The spans that wait for the collector.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::sync::Notify;

/// So many spans wait.
const SPANS: usize = 8192;
/// So many bytes of them, as they are sent.
const BYTES: usize = 4 << 20;
/// So many spans are sent at once.
pub const BATCH: usize = 512;

/// Why a span was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Too many wait.
    QueueFull,
    /// The collector was not reached, or had no room, for too long.
    GivenUp,
    /// The collector refuses it.
    Rejected,
    /// The trace has ended.
    Unsent,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::GivenUp, Self::Rejected, Self::Unsent];

    /// The word in the summary, and the label of a series.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::GivenUp => "given_up",
            Self::Rejected => "rejected",
            Self::Unsent => "unsent",
        }
    }
}

/// What became of spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The collector has them.
    pub sent: u64,
    /// It does not, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Span, usize)>,
    bytes: usize,
    /// Taken, and neither sent nor dropped.
    taken: u64,
    counts: Counts,
    /// No span comes any more.
    closing: bool,
    /// Nothing is counted any more.
    closed: bool,
}

impl State {
    fn count(&mut self, why: Dropped, count: u64) {
        if count > 0 {
            *self.counts.dropped.entry(why.name()).or_default() += count;
        }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// For the thread that sends: there is something.
    filled: Notify,
    /// For the one that ends: something was sent or dropped.
    emptied: Condvar,
}

/// The spans that wait, for both threads.
#[derive(Clone, Default)]
pub struct Queue(Arc<Shared>);

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a span, or drops it.
    pub fn push(&self, span: Span) {
        let size = span.encoded_len();
        let mut state = self.state();
        if state.waiting.len() >= SPANS || state.bytes + size > BYTES {
            return state.count(Dropped::QueueFull, 1);
        }
        state.bytes += size;
        state.waiting.push_back((span, size));
        drop(state);
        self.0.filled.notify_one();
    }

    /// Whether there is no use in waiting for more spans.
    fn is_batch(&self) -> bool {
        let state = self.state();
        state.closing || state.waiting.len() >= BATCH
    }

    /// Waits until there are spans; then for more of them, for `gather` at most.
    pub async fn next(&self, gather: Duration) -> Vec<Span> {
        while self.state().waiting.is_empty() {
            self.0.filled.notified().await;
        }
        let more = async {
            while !self.is_batch() {
                self.0.filled.notified().await;
            }
        };
        let _ = tokio::time::timeout(gather, more).await;
        let mut state = self.state();
        let count = state.waiting.len().min(BATCH);
        let batch: Vec<_> = state.waiting.drain(..count).collect();
        state.bytes -= batch.iter().map(|(_, size)| size).sum::<usize>();
        state.taken += batch.len() as u64;
        batch.into_iter().map(|(span, _)| span).collect()
    }

    /// A batch is settled: so many of it were sent, the rest was not.
    pub fn settle(&self, sent: u64, (why, dropped): (Dropped, u64)) {
        let mut state = self.state();
        if !state.closed {
            state.taken = state.taken.saturating_sub(sent + dropped);
            state.counts.sent += sent;
            state.count(why, dropped);
        }
        drop(state);
        self.0.emptied.notify_all();
    }

    /// Whether the trace has ended.
    pub fn is_closing(&self) -> bool {
        self.state().closing
    }

    /// Completes soon after the trace has ended, or when there is a further span.
    pub async fn changed(&self) {
        self.0.filled.notified().await;
    }

    /// What became of the spans so far.
    pub fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    /// Waits until everything is settled, for `longest` at most; the rest is unsent.
    pub fn finish(&self, longest: Duration) -> Counts {
        let end = Instant::now() + longest;
        let mut state = self.state();
        state.closing = true;
        self.0.filled.notify_one();
        while state.taken > 0 || !state.waiting.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.emptied.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let rest = state.taken + state.waiting.len() as u64;
        state.closed = true;
        state.count(Dropped::Unsent, rest);
        state.counts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let queue = Queue::default();
        let long = Span {
            name: "x".repeat(BYTES / 2),
            ..Span::default()
        };
        for span in [long.clone(), long, Span::default()] {
            queue.push(span);
        }
        assert_eq!(queue.counts().dropped, [("queue_full", 1)].into());
        for _ in 0..SPANS {
            queue.push(Span::default());
        }
        let counts = queue.finish(Duration::ZERO);
        assert_eq!(counts.sent, 0);
        assert_eq!(counts.dropped["queue_full"], 3);
        assert_eq!(counts.dropped["unsent"], SPANS as u64);
    }
}
