//! Until when everything has been taken from the ring.
//!
//! A program counts a record as seen, takes its time, reserves it and submits it. Where the kernel
//! preempts it on the way, that can take long, and everything behind a reserved record waits for it.
//! So a time is a watermark only once as many records have been taken or given up as were seen by
//! then.

/// How long a watermark is waited for, ns: a program's counters always balance in the end, and if
/// they ever did not, nothing would be told any more.
const PATIENCE_NS: u64 = 1_000_000_000;

/// A time, and what must have been taken for it to be a watermark.
#[derive(Clone, Copy, Debug)]
struct Expected {
    time_ns: u64,
    seen: u64,
}

/// The next watermark.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watermark(Option<Expected>);

impl Watermark {
    /// Before the ring is drained: the time (CLOCK_MONOTONIC ns), and how many records were seen by
    /// then, asked after the time.
    pub fn expect(&mut self, time_ns: u64, seen: u64) {
        self.0.get_or_insert(Expected { time_ns, seen });
    }

    /// After that: how many were taken or given up, and the time before the ring was drained. Answers
    /// a time before which every record has been taken, if there is a new one.
    pub fn reach(&mut self, settled: u64, now_ns: u64) -> Option<u64> {
        let expected = self.0?;
        let overdue = now_ns.saturating_sub(expected.time_ns) > PATIENCE_NS;
        if expected.seen > settled && !overdue {
            return None;
        }
        self.0 = None;
        Some(expected.time_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_watermark_when_all_that_was_seen_is_settled() {
        let mut watermark = Watermark::default();
        watermark.expect(10, 3);
        assert_eq!(watermark.reach(2, 10), None, "one is on its way");
        // A later time does not replace the one that is waited for.
        watermark.expect(20, 5);
        assert_eq!(watermark.reach(3, 20), Some(10));
        assert_eq!(watermark.reach(5, 20), None, "nothing is expected");
        watermark.expect(30, 5);
        assert_eq!(watermark.reach(5, 30), Some(30));
    }

    #[test]
    fn counters_that_never_balance_do_not_silence_the_trace() {
        let mut watermark = Watermark::default();
        watermark.expect(10, 3);
        assert_eq!(watermark.reach(2, 10 + PATIENCE_NS), None);
        assert_eq!(watermark.reach(2, 11 + PATIENCE_NS), Some(10));
    }
}
