//! The offset between QEMU's clock and the kernel's.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::rig::now;

/// How far CLOCK_REALTIME, QEMU's clock, is ahead of CLOCK_MONOTONIC, the clock of the driver and the
/// tracer. The guest's clock is never set, so that this does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    least_ns: u64,
    most_ns: u64,
}

impl Ahead {
    /// Measures it: the narrowest bounds of some readings.
    pub fn measure() -> Result<Self> {
        let mut best = Self::once()?;
        for _ in 0..16 {
            let next = Self::once()?;
            best = Self {
                least_ns: best.least_ns.max(next.least_ns),
                most_ns: best.most_ns.min(next.most_ns),
            };
        }
        ensure!(
            best.least_ns <= best.most_ns,
            "CLOCK_REALTIME was set while it was read"
        );
        Ok(best)
    }

    fn once() -> Result<Self> {
        let before = now()?;
        let real = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
        let after = now()?;
        Ok(Self {
            least_ns: real - after,
            most_ns: real - before,
        })
    }

    /// A known offset, for unit tests.
    #[cfg(test)]
    pub fn exactly(ns: u64) -> Self {
        Self {
            least_ns: ns,
            most_ns: ns,
        }
    }

    /// Whether both can be the same offset.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.least_ns.max(other.least_ns) <= self.most_ns.min(other.most_ns)
    }

    /// The earliest CLOCK_MONOTONIC time that a stamp in whole microseconds may stand for.
    pub fn earliest_ns(&self, real_ns: u64) -> u64 {
        real_ns.saturating_sub(self.most_ns)
    }

    /// The latest.
    pub fn latest_ns(&self, real_ns: u64) -> u64 {
        (real_ns + 999).saturating_sub(self.least_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::Ahead;

    #[test]
    fn a_stamp_is_a_span() {
        let ahead = Ahead {
            least_ns: 1000,
            most_ns: 1200,
        };
        assert_eq!(ahead.earliest_ns(10_000), 8800);
        assert_eq!(ahead.latest_ns(10_000), 9999);
        let moved = Ahead {
            least_ns: 1201,
            most_ns: 1300,
        };
        assert!(ahead.overlaps(&ahead) && !ahead.overlaps(&moved));
    }

    #[test]
    fn the_clocks_of_this_machine_can_be_compared() {
        Ahead::measure().unwrap();
    }
}
