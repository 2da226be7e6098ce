//! Until when everything has been taken from the ring.
//!
//! A program counts a record as seen, takes its time, reserves it and submits it. Where the kernel
//! preempts it on the way, that can take long, and everything behind a reserved record waits for it.
//! So a time is a watermark only if no program was on its way after it: if, at one moment, as many
//! records had been taken or given up as were ever seen.

/// How long a watermark is waited for, ns. On a machine with many processors some program may be on
/// its way at each look; what then comes too late for its place is counted by the order.
const PATIENCE_NS: u64 = 200_000_000;

/// Judges whether a time is a watermark.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watermark {
    /// Since when there is none (CLOCK_MONOTONIC ns).
    waiting_ns: Option<u64>,
}

impl Watermark {
    /// Whether `time_ns`, taken before the ring was drained, is one. `settled` are the records that
    /// were taken, or given up by the programs, after it was drained; `seen`, asked only after that,
    /// are all that they have seen.
    pub fn reaches(&mut self, time_ns: u64, settled: u64, seen: u64) -> bool {
        let since_ns = *self.waiting_ns.get_or_insert(time_ns);
        let reached = seen == settled || time_ns.saturating_sub(since_ns) > PATIENCE_NS;
        if reached {
            self.waiting_ns = None;
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_on_its_way_holds_it_back_whatever_else_arrives() {
        let mut watermark = Watermark::default();
        assert!(watermark.reaches(10, 3, 3));
        assert!(!watermark.reaches(20, 4, 5));
        assert!(
            !watermark.reaches(30, 6, 7),
            "later ones do not make up for it"
        );
        assert!(watermark.reaches(40, 8, 8));
    }

    #[test]
    fn a_busy_machine_is_not_silenced() {
        let mut watermark = Watermark::default();
        assert!(!watermark.reaches(10, 2, 3));
        assert!(!watermark.reaches(10 + PATIENCE_NS, 5, 6));
        assert!(watermark.reaches(11 + PATIENCE_NS, 8, 9));
        assert!(!watermark.reaches(12 + PATIENCE_NS, 8, 9));
    }
}
