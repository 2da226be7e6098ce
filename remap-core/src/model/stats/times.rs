//! Distributions of times, each in little memory: a host may have thousands of vectors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many values are stored as they are.
const FEW: usize = 16;
/// So many buckets has a distribution at most. Each takes 10 bytes.
const MOST: usize = 128;
/// The finest buckets: `2^FINEST` of them from a power of two to the next, so that a value is at
/// most 1.6 % above what it is reported as.
const FINEST: u32 = 6;

/// A quantity's distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Number of values.
    pub count: u64,
    /// Median, ns.
    #[serde(rename = "p50_ns")]
    pub p50: u64,
    /// 90th percentile, ns.
    #[serde(rename = "p90_ns")]
    pub p90: u64,
    /// 99th percentile, ns.
    #[serde(rename = "p99_ns")]
    pub p99: u64,
    /// Largest, ns.
    #[serde(rename = "max_ns")]
    pub max: u64,
}

/// Values; written as their quantiles. Few values are exact. Of many, a quantile is at most 1.6 % too
/// large, or 3 %, 6 %, … if they spread over many powers of two. The largest is always exact.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Option<Quantiles>", from = "Option<Quantiles>")]
pub struct Times(Values);

#[derive(Clone, Debug)]
enum Values {
    Few(Vec<u64>),
    Many(Box<Buckets>),
    /// What was written of values that are not here.
    Written(Quantiles),
}

impl Default for Values {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// How many values each bucket has; empty ones are left out.
#[derive(Clone, Debug)]
struct Buckets {
    /// `2^bits` buckets from a power of two to the next.
    bits: u32,
    /// In order.
    buckets: Vec<u16>,
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

/// The bucket of a value: its highest bits, and how many bits follow. Below `2^bits`, one bucket for
/// each value.
fn bucket(value: u64, bits: u32) -> u16 {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(bits + 1);
    let bucket = (u64::from(shift) << bits) + (value >> shift);
    u16::try_from(bucket).unwrap_or(u16::MAX)
}

/// The largest value of a bucket.
fn largest(bucket: u16, bits: u32) -> u64 {
    let bucket = u64::from(bucket);
    let shift = (bucket >> bits).saturating_sub(1);
    let high = bucket - (shift << bits);
    ((high + 1) << shift).wrapping_sub(1)
}

impl Buckets {
    fn new(values: &[u64]) -> Self {
        let mut buckets = Self {
            bits: FINEST,
            buckets: Vec::new(),
            counts: Vec::new(),
            count: 0,
            max: 0,
        };
        values.iter().for_each(|value| buckets.record(*value));
        buckets
    }

    fn record(&mut self, value: u64) {
        self.count += 1;
        self.max = self.max.max(value);
        self.add(bucket(value, self.bits), 1);
        while self.buckets.len() > MOST {
            self.coarsen();
        }
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search(&bucket) {
            Ok(at) => self.counts[at] += count,
            Err(at) => {
                if self.buckets.len() == self.buckets.capacity() {
                    self.buckets.reserve_exact(FEW);
                    self.counts.reserve_exact(FEW);
                }
                self.buckets.insert(at, bucket);
                self.counts.insert(at, count);
            }
        }
    }

    /// Half as many buckets from a power of two to the next.
    fn coarsen(&mut self) {
        let (fine, bits) = (self.bits, self.bits.saturating_sub(1));
        let buckets = std::mem::take(&mut self.buckets);
        let counts = std::mem::take(&mut self.counts);
        self.bits = bits;
        for (old, count) in buckets.into_iter().zip(counts) {
            self.add(bucket(largest(old, fine), bits), count);
        }
    }

    /// The value that `percent` of the values are not above.
    fn quantile(&self, percent: u64) -> u64 {
        let mut rest = rank(self.count, percent);
        for (bucket, count) in self.buckets.iter().zip(&self.counts) {
            if *count >= rest {
                return largest(*bucket, self.bits).min(self.max);
            }
            rest -= count;
        }
        self.max
    }
}

/// The position of the value that `percent` of `count` values are not above, from 1.
fn rank(count: u64, percent: u64) -> u64 {
    let rank = (u128::from(count) * u128::from(percent)).div_ceil(100);
    u64::try_from(rank).unwrap_or(count).max(1)
}

impl Times {
    pub(crate) fn record(&mut self, ns: u64) {
        match &mut self.0 {
            Values::Few(values) if values.len() < FEW => values.push(ns),
            Values::Few(values) => {
                let mut buckets = Buckets::new(values);
                buckets.record(ns);
                self.0 = Values::Many(Box::new(buckets));
            }
            Values::Many(buckets) => buckets.record(ns),
            Values::Written(_) => {}
        }
    }

    /// Their distribution; `None` if there are none.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let quantiles = |count, of: &dyn Fn(u64) -> u64| Quantiles {
            count,
            p50: of(50),
            p90: of(90),
            p99: of(99),
            max: of(100),
        };
        match &self.0 {
            Values::Written(written) => Some(*written),
            Values::Many(buckets) => Some(quantiles(buckets.count, &|percent| {
                buckets.quantile(percent)
            })),
            Values::Few(values) if values.is_empty() => None,
            Values::Few(values) => {
                let mut sorted = values.clone();
                sorted.sort_unstable();
                let count = sorted.len() as u64;
                let at = |percent| {
                    let rank = usize::try_from(rank(count, percent)).unwrap_or(FEW);
                    sorted.get(rank - 1).copied().unwrap_or(0)
                };
                Some(quantiles(count, &at))
            }
        }
    }
}

impl From<Times> for Option<Quantiles> {
    fn from(times: Times) -> Self {
        times.quantiles()
    }
}

impl From<Option<Quantiles>> for Times {
    fn from(quantiles: Option<Quantiles>) -> Self {
        Self(quantiles.map_or_else(Values::default, Values::Written))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times(values: &[u64]) -> Times {
        let mut times = Times::default();
        values.iter().for_each(|ns| times.record(*ns));
        times
    }

    #[test]
    fn quantiles_of_one_to_a_hundred() {
        let values: Vec<u64> = (1..=100).collect();
        let quantiles = times(&values).quantiles().expect("a hundred values");
        assert_eq!(
            (
                quantiles.p50,
                quantiles.p90,
                quantiles.p99,
                quantiles.max,
                quantiles.count
            ),
            (50, 90, 99, 100, 100)
        );
    }

    #[test]
    fn what_was_written_stays() {
        let written = times(&[5]).quantiles();
        let mut read = Times::from(written);
        read.record(9);
        assert_eq!(read.quantiles(), written);
        assert!(Times::from(None).quantiles().is_none());
    }

    #[test]
    fn values_of_all_sizes_take_little_memory() {
        let mut times = Times::default();
        for bit in 0..64 {
            for step in 0..64 {
                times.record((1 << bit) | (step << bit >> 6));
            }
        }
        times.record(u64::MAX);
        let Values::Many(buckets) = &times.0 else {
            panic!("few values");
        };
        assert!(buckets.buckets.len() <= MOST && buckets.buckets.capacity() < 2 * MOST);
        assert_eq!(buckets.counts.iter().sum::<u64>(), 64 * 64 + 1);
        assert_eq!(times.quantiles().expect("many values").max, u64::MAX);
    }

    proptest! {
        #[test]
        fn a_bucket_is_narrow(value in any::<u64>(), bits in 0..=FINEST) {
            let bucket_of = bucket(value, bits);
            let largest = largest(bucket_of, bits);
            prop_assert!(value <= largest && largest - value <= value >> bits);
            prop_assert_eq!(bucket(largest, bits), bucket_of);
        }

        #[test]
        fn a_quantile_is_never_too_small_and_hardly_too_large(
            mut values in prop::collection::vec(0_u64..100_000, 1..400),
        ) {
            let times = times(&values);
            values.sort_unstable();
            let bits = match &times.0 {
                Values::Many(buckets) => buckets.bits,
                _ => u64::BITS - 1,
            };
            let quantiles = times.quantiles().expect("values");
            let count = values.len();
            for (percent, got) in [(50, quantiles.p50), (90, quantiles.p90), (99, quantiles.p99)] {
                let exact = values[(count * percent).div_ceil(100).max(1) - 1];
                prop_assert!(got >= exact && got - exact <= exact >> bits, "{percent}: {got}");
            }
            prop_assert_eq!(quantiles.max, values[count - 1]);
            prop_assert_eq!(quantiles.count, count as u64);
        }
    }
}
