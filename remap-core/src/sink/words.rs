//! Quantities and names as people read them.

use std::collections::BTreeMap;
use std::fmt;

use crate::event::DeviceState;
use crate::model::Ns;

/// How many of something.
pub(super) struct Count(pub(super) u64, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = match (self.0, self.1) {
            (1, _) => "",
            (_, word) if word.ends_with('s') => "es",
            _ => "s",
        };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

/// An amount of bytes with three significant digits, or exactly where that is short.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let unit = units.into_iter().find(|(_, shift)| self.0 >> shift > 0);
        let Some((unit, shift)) = unit else {
            return f.pad(&format!("{} B", self.0));
        };
        let size = 1_u64 << shift;
        if self.0.is_multiple_of(size) {
            return f.pad(&format!("{} {unit}", self.0 / size));
        }
        let value = self.0 as f64 / size as f64;
        let digits = match value {
            value if value < 9.995 => 2,
            value if value < 99.95 => 1,
            _ => 0,
        };
        f.pad(&format!("{value:.digits$} {unit}"))
    }
}

/// A duration, or that it is not known.
pub(super) struct MaybeNs(pub(super) Option<u64>);

impl fmt::Display for MaybeNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ns) => Ns(ns).fmt(f),
            None => f.pad("unknown time"),
        }
    }
}

/// From one state to another.
pub(super) struct Change(
    pub(super) Option<DeviceState>,
    pub(super) Option<DeviceState>,
);

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |state: Option<DeviceState>| match state {
            Some(state) => state.to_string(),
            None => "unknown".to_owned(),
        };
        f.pad(&format!("{} → {}", name(self.0), name(self.1)))
    }
}

/// Faults that populated, by size: `3 of 4 KiB, 1 of 2 MiB`; those of unknown size come last.
pub(super) struct Pages<'a>(pub(super) &'a BTreeMap<u64, u64>, pub(super) u64);

impl fmt::Display for Pages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = self
            .0
            .iter()
            .map(|(bytes, count)| format!("{count} of {}", Bytes(*bytes)))
            .collect();
        if self.1 > 0 {
            words.push(format!("{} of unknown size", self.1));
        }
        f.write_str(&words.join(", "))
    }
}

/// A share of a whole, in percent; 0 of 0 is nothing.
pub(super) struct Percent(pub(super) u64, pub(super) u64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = match self.1 {
            0 => 0.0,
            whole => self.0 as f64 / whole as f64 * 100.0,
        };
        write!(f, "{share:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_or_are_exact() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (4096, "4 KiB"),
            (2 << 20, "2 MiB"),
            ((1 << 20) + (1 << 18), "1.25 MiB"),
            (u64::MAX, "17179869184 GiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn one_is_singular() {
        let counts = [Count(1, "cycle"), Count(0, "cycle"), Count(2, "access")];
        let words = counts.map(|count| count.to_string());
        assert_eq!(words, ["1 cycle", "0 cycles", "2 accesses"]);
    }

    #[test]
    fn pages_of_unknown_size_are_named() {
        let pages = BTreeMap::from([(4096, 3), (2 << 20, 1)]);
        assert_eq!(Pages(&pages, 0).to_string(), "3 of 4 KiB, 1 of 2 MiB");
        let unknown = Pages(&BTreeMap::new(), 2).to_string();
        assert_eq!(unknown, "2 of unknown size");
    }
}
