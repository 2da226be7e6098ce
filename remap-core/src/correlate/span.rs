//! Sums of the activity on a device within a span of time.

use std::collections::VecDeque;

use crate::event::{Errno, MigrationData};
use crate::model::{Activity, DataStats};

impl DataStats {
    /// One more read or write that returned at `end_ns`. The caller adds its duration.
    pub(super) fn record(&mut self, end_ns: u64, moved: &MigrationData) {
        match moved.result {
            Ok(0) if !moved.write => self.ends += 1,
            Ok(bytes) => {
                let bytes = u64::try_from(bytes).unwrap_or(0);
                let (count, sum) = match moved.write {
                    true => (&mut self.writes, &mut self.written_bytes),
                    false => (&mut self.reads, &mut self.read_bytes),
                };
                *count += 1;
                *sum = sum.saturating_add(bytes);
                self.first_ns.get_or_insert(moved.begin_ns);
                self.last_ns = Some(end_ns);
            }
            Err(Errno::ENOMSG) if !moved.write => self.drained += 1,
            Err(errno) => {
                self.failed += 1;
                self.errno = Some(errno);
            }
        }
    }
}

/// How many spans are kept before the oldest are merged into a sum.
const SPANS: usize = 1 << 16;

/// Time that is covered by spans, overlaps counted once.
#[derive(Clone, Debug, Default)]
pub(super) struct Cover {
    /// Disjoint, by time.
    spans: VecDeque<(u64, u64)>,
    /// The sum of those that are not kept, ns; later spans count from their end on.
    folded_ns: u64,
    folded_until: u64,
}

impl Cover {
    /// How much is stored ([`super::room`]).
    pub(super) fn room(&self) -> usize {
        self.spans.len() / 16
    }

    /// One more span. They come nearly in order of their ends.
    pub(super) fn add(&mut self, begin: u64, end: u64) {
        let begin = begin.max(self.folded_until);
        if begin >= end {
            return;
        }
        let (mut begin, mut end) = (begin, end);
        let mut later = Vec::new();
        while let Some(last) = self.spans.pop_back() {
            if last.0 > end {
                later.push(last);
            } else if last.1 < begin {
                self.spans.push_back(last);
                break;
            } else {
                begin = begin.min(last.0);
                end = end.max(last.1);
            }
        }
        self.spans.push_back((begin, end));
        self.spans.extend(later.into_iter().rev());
        if self.spans.len() > SPANS
            && let Some((begin, end)) = self.spans.pop_front()
        {
            self.folded_ns += end - begin;
            self.folded_until = end;
        }
    }

    /// All that is covered, ns.
    pub(super) fn total(&self) -> u64 {
        self.folded_ns
            + self
                .spans
                .iter()
                .map(|(begin, end)| end - begin)
                .sum::<u64>()
    }

    /// What is covered of a time, ns.
    pub(super) fn within(&self, begin: u64, end: u64) -> u64 {
        let spans = self.spans.iter();
        let kept: u64 = spans
            .map(|span| span.1.min(end).saturating_sub(span.0.max(begin)))
            .sum();
        (self.folded_ns + kept).min(end.saturating_sub(begin))
    }

    /// The spans; `None` if the oldest were merged into a sum.
    pub(super) fn spans(&self) -> Option<impl Iterator<Item = (u64, u64)>> {
        (self.folded_until == 0).then(|| self.spans.iter().copied())
    }
}

/// What happens within a span of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    activity: Activity,
    faults: Cover,
    data: Cover,
}

impl Tally {
    /// How much is stored ([`super::room`]).
    pub(super) fn room(&self) -> usize {
        self.faults.room() + self.data.room()
    }

    /// A fault returned at `end_ns`. One that the kernel retries (`again`) at a smaller order is not
    /// counted.
    pub(super) fn fault(&mut self, begin_ns: u64, end_ns: u64, again: bool) {
        self.activity.faults += u64::from(!again);
        self.faults.add(begin_ns, end_ns);
    }

    /// Records were lost that belong to it.
    pub(super) fn lose(&mut self) {
        self.activity.partial = true;
    }

    /// Whether records may be missing.
    pub(super) fn is_partial(&self) -> bool {
        self.activity.partial
    }

    /// A call zapped mappings.
    pub(super) fn zap(&mut self) {
        self.activity.zaps += 1;
    }

    /// A read or a write of migration data returned at `end_ns`.
    pub(super) fn moved(&mut self, end_ns: u64, moved: &MigrationData) {
        self.activity.data.record(end_ns, moved);
        self.data.add(moved.begin_ns, end_ns);
    }

    /// Reads and writes of migration data; how long they were in flight is not added up.
    pub(super) fn data_stats(&self) -> &DataStats {
        &self.activity.data
    }

    /// The times in which a fault was in flight.
    pub(super) fn faults(&self) -> &Cover {
        &self.faults
    }

    /// The times in which data was moved.
    pub(super) fn data(&self) -> &Cover {
        &self.data
    }

    /// What it adds up to.
    pub(super) fn activity(&self) -> Activity {
        let mut sum = self.activity.clone();
        sum.fault_ns = self.faults.total();
        sum.data.busy_ns = self.data.total();
        sum
    }

    /// The same, with times limited to the length of `begin_ns` to `end_ns`.
    pub(super) fn activity_within(&self, begin_ns: u64, end_ns: u64) -> Activity {
        let mut sum = self.activity.clone();
        sum.fault_ns = self.faults.within(begin_ns, end_ns);
        sum.data.busy_ns = self.data.within(begin_ns, end_ns);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(spans: &[(u64, u64)]) -> Cover {
        let mut cover = Cover::default();
        for (begin, end) in spans {
            cover.add(*begin, *end);
        }
        cover
    }

    #[test]
    fn what_overlaps_counts_once() {
        assert_eq!(cover(&[(10, 20), (15, 30), (40, 50)]).total(), 30);
        assert_eq!(cover(&[(10, 20), (40, 50), (15, 45)]).total(), 40);
        assert_eq!(cover(&[(40, 50), (10, 20), (20, 25)]).total(), 25);
        assert_eq!(cover(&[(5, 5), (9, 3)]).total(), 0);
    }

    #[test]
    fn no_more_is_covered_than_there_is() {
        let cover = cover(&[(10, 20), (30, 50)]);
        assert_eq!(cover.within(0, 100), 30);
        assert_eq!(cover.within(15, 35), 10);
        assert_eq!(cover.within(20, 30), 0);
        assert_eq!(cover.within(40, 30), 0);
    }

    #[test]
    fn many_spans_stay_a_sum() {
        let mut cover = Cover::default();
        assert!(cover.spans().is_some());
        for at in 0..3 * SPANS as u64 {
            cover.add(at * 10, at * 10 + 4);
        }
        assert_eq!(cover.total(), 4 * 3 * SPANS as u64);
        assert!(cover.spans().is_none() && cover.spans.len() <= SPANS);
    }

    #[test]
    fn so_many_spans_are_kept() {
        let mut cover = Cover::default();
        for at in 0..SPANS as u64 {
            cover.add(at * 10, at * 10 + 4);
        }
        assert_eq!(cover.spans().map(Iterator::count), Some(SPANS));
        cover.add(u64::MAX - 1, u64::MAX);
        assert!(cover.spans().is_none());
    }

    #[test]
    fn an_end_of_data_is_no_data() {
        let mut data = DataStats::default();
        for (begin_ns, result) in [(1, Ok(4096)), (3, Err(Errno::ENOMSG)), (5, Ok(0))] {
            let moved = MigrationData {
                device: None,
                file: 1,
                write: false,
                requested: 4096,
                begin_ns,
                result,
            };
            data.record(begin_ns + 1, &moved);
        }
        assert_eq!((data.reads, data.read_bytes, data.ends), (1, 4096, 1));
        assert_eq!((data.first_ns, data.last_ns), (Some(1), Some(2)));
        assert_eq!((data.drained, data.failed), (1, 0));
    }
}
