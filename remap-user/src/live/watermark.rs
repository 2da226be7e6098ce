//! A watermark: a time before which every record was taken from the ring.
//!
//! A program counts a record as seen, reads the clock, reserves the record and submits it. A
//! preempted program can take long between these steps, and every record behind a reserved one
//! waits. So a time is a watermark only if no program was between these steps: at one moment, as
//! many records were taken or lost as were counted as seen.
//!
//! While the ring holds more than one turn takes, the watermark is the time of the latest record
//! that was taken.

/// How long to wait for a watermark, ns. On a machine with many CPUs some program may be between
/// those steps at each check; the order counts the records that then arrive late.
const PATIENCE_NS: u64 = 200_000_000;

/// Decides whether a time is a watermark.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watermark {
    /// The first time that was refused since the last watermark (CLOCK_MONOTONIC ns).
    waiting_ns: Option<u64>,
    last_ns: u64,
}

impl Watermark {
    /// Whether `time_ns`, read before the ring was drained, is one. `settled` counts the records
    /// that were taken or lost, read after the drain; `seen` counts all records, read after that.
    pub fn reaches(&mut self, time_ns: u64, settled: u64, seen: u64) -> bool {
        let since_ns = *self.waiting_ns.get_or_insert(time_ns);
        let reached = seen == settled || time_ns.saturating_sub(since_ns) > PATIENCE_NS;
        if reached {
            self.behind(time_ns);
        }
        reached
    }

    /// The watermark while records wait in the ring: the time of the latest one that was taken.
    /// A watermark never goes back.
    pub fn behind(&mut self, latest_ns: u64) -> u64 {
        self.waiting_ns = None;
        self.last_ns = self.last_ns.max(latest_ns);
        self.last_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsubmitted_record_holds_it_back() {
        let mut watermark = Watermark::default();
        assert!(watermark.reaches(10, 3, 3));
        assert!(!watermark.reaches(20, 4, 5));
        assert!(
            !watermark.reaches(30, 6, 7),
            "later records do not compensate"
        );
        assert!(watermark.reaches(40, 8, 8));
    }

    #[test]
    fn it_never_goes_back() {
        let mut watermark = Watermark::default();
        assert!(!watermark.reaches(10, 2, 3));
        assert_eq!(watermark.behind(7), 7);
        assert!(
            !watermark.reaches(11 + PATIENCE_NS, 5, 6),
            "waits from now on"
        );
        assert!(watermark.reaches(12 + PATIENCE_NS, 6, 6));
        assert_eq!(watermark.behind(8), 12 + PATIENCE_NS);
    }

    #[test]
    fn a_busy_machine_still_advances() {
        let mut watermark = Watermark::default();
        assert!(!watermark.reaches(10, 2, 3));
        assert!(!watermark.reaches(10 + PATIENCE_NS, 5, 6));
        assert!(watermark.reaches(11 + PATIENCE_NS, 8, 9));
        assert!(!watermark.reaches(12 + PATIENCE_NS, 8, 9));
    }
}
