//! A distribution in buckets that never change, as Prometheus adds them up over hosts and time.

/// The upper bound of the first bucket, ns.
const FIRST_NS: u64 = 1_000;
/// Each bucket is twice as wide as the one before: the last one ends at 134 s.
pub const BUCKETS: usize = 28;

/// How often a time was in each bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    /// Times above every bucket.
    above: u64,
    sum_ns: u64,
}

/// The upper bound of a bucket, ns.
fn bound_ns(bucket: usize) -> u64 {
    FIRST_NS << bucket
}

/// Nanoseconds as the seconds of an exposition.
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

impl Histogram {
    /// Adds a time, ns.
    pub fn record(&mut self, ns: u64) {
        let bucket = (0..BUCKETS).find(|bucket| ns <= bound_ns(*bucket));
        match bucket {
            Some(bucket) => self.buckets[bucket] += 1,
            None => self.above += 1,
        }
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += count;
        }
        self.above += other.above;
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// How many times it has.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.above
    }

    /// Their sum, s.
    pub fn sum(&self) -> f64 {
        seconds(self.sum_ns)
    }

    /// The upper bound of each bucket, s, and how many times are in it.
    pub fn buckets(&self) -> [(f64, u64); BUCKETS + 1] {
        std::array::from_fn(|bucket| match self.buckets.get(bucket) {
            Some(count) => (seconds(bound_ns(bucket)), *count),
            None => (f64::INFINITY, self.above),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_is_not_below_it() {
        let mut histogram = Histogram::default();
        for ns in [0, 1_000, 1_001, 2_000, 1_000_000_000, u64::MAX] {
            histogram.record(ns);
        }
        let filled = histogram.buckets();
        let filled: Vec<_> = filled.iter().filter(|(_, count)| *count > 0).collect();
        let expected = [
            (0.000_001, 2),
            (0.000_002, 2),
            (1.048_576, 1),
            (f64::INFINITY, 1),
        ];
        assert!(filled.into_iter().eq(&expected));
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum_ns, u64::MAX, "it does not overflow");
    }

    #[test]
    fn the_buckets_reach_from_a_microsecond_to_over_100_seconds() {
        let bounds = Histogram::default().buckets().map(|(bound, _)| bound);
        assert_eq!(bounds[0], 1e-6);
        assert_eq!(bounds[BUCKETS - 1], 134.217_728);
    }

    #[test]
    fn two_add_up() {
        let (mut sum, mut other) = (Histogram::default(), Histogram::default());
        sum.record(5_000);
        other.record(5_000);
        other.record(u64::MAX / 2);
        sum.add(&other);
        assert_eq!((sum.count(), sum.sum_ns), (3, u64::MAX / 2 + 10_000));
    }
}
