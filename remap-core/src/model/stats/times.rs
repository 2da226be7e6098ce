//! Distributions of times.

use hdrhistogram::Histogram;

/// A quantity's distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// Number of values.
    pub count: u64,
    /// Median, ns.
    pub p50: u64,
    /// 90th percentile, ns.
    pub p90: u64,
    /// 99th percentile, ns.
    pub p99: u64,
    /// Largest, ns.
    pub max: u64,
}

/// Values, to three significant digits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Option<Histogram<u64>>);

impl Times {
    pub(crate) fn record(&mut self, ns: u64) {
        if self.0.is_none() {
            self.0 = Histogram::new(3).ok();
        }
        if let Some(histogram) = &mut self.0 {
            // It grows as needed. Only a value beyond its number space is refused, and no time
            // is that long.
            let _refused = histogram.record(ns);
        }
    }

    pub(crate) fn quantiles(&self) -> Option<Quantiles> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(Quantiles {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_one_to_a_hundred() {
        let mut times = Times::default();
        (1..=100).for_each(|ns| times.record(ns));
        let quantiles = times.quantiles().expect("a hundred values were recorded");
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
}
