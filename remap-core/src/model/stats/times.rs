//! Distributions of times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use hdrhistogram::Histogram;

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

/// Values, to three significant digits; written as their quantiles.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Option<Quantiles>", from = "Option<Quantiles>")]
pub struct Times(Values);

#[derive(Clone, Debug, Default)]
enum Values {
    #[default]
    None,
    Histogram(Box<Histogram<u64>>),
    /// What was written of values that are not here.
    Written(Quantiles),
}

impl Times {
    pub(crate) fn record(&mut self, ns: u64) {
        if matches!(self.0, Values::None)
            && let Ok(histogram) = Histogram::new(3)
        {
            self.0 = Values::Histogram(Box::new(histogram));
        }
        if let Values::Histogram(histogram) = &mut self.0 {
            // It grows as needed. Only a value beyond its number space is refused, and no time
            // is that long.
            let _refused = histogram.record(ns);
        }
    }

    /// Their distribution; `None` if there are none.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let histogram = match &self.0 {
            Values::None => return None,
            Values::Written(quantiles) => return Some(*quantiles),
            Values::Histogram(histogram) => histogram,
        };
        (!histogram.is_empty()).then(|| Quantiles {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        })
    }
}

impl From<Times> for Option<Quantiles> {
    fn from(times: Times) -> Self {
        times.quantiles()
    }
}

impl From<Option<Quantiles>> for Times {
    fn from(quantiles: Option<Quantiles>) -> Self {
        Self(quantiles.map_or(Values::None, Values::Written))
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
