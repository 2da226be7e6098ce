//! Durations as people read them.

use std::fmt;

/// A duration with three significant digits and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ns(
    /// Nanoseconds.
    pub u64,
);

impl fmt::Display for Ns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            ("ns", 1),
            ("µs", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
        ];
        let (unit, size) = units
            .into_iter()
            .rev()
            .find(|(_, size)| self.0 >= *size)
            .unwrap_or(("ns", 1));
        let value = self.0 as f64 / size as f64;
        let digits = match value {
            _ if size == 1 => 0,
            value if value < 9.995 => 2,
            value if value < 99.95 => 1,
            _ => 0,
        };
        f.pad(&format!("{value:.digits$} {unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (9_994, "9.99 µs"),
            (9_995, "10.0 µs"),
            (99_949, "99.9 µs"),
            (99_950, "100 µs"),
            (214_300, "214 µs"),
            (99_960_000, "100 ms"),
            (2_000_005_000, "2.00 s"),
            (u64::MAX, "18446744074 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(Ns(ns).to_string(), text);
        }
    }
}
