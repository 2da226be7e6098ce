//! CLOCK_MONOTONIC and CLOCK_REALTIME of this machine, and the offset between them.

use std::io;

use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC, the clock of `bpf_ktime_get_ns`, ns.
///
/// # Errors
/// If the clock cannot be read.
pub fn monotonic_ns() -> io::Result<u64> {
    nanoseconds(ClockId::Monotonic)
}

fn nanoseconds(clock: ClockId) -> io::Result<u64> {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).map_err(io::Error::other)?;
    let nanos = u64::try_from(time.tv_nsec).map_err(io::Error::other)?;
    Ok(seconds * 1_000_000_000 + nanos)
}

/// How often the clocks are read; the reading with the smallest error counts.
const READINGS: u32 = 64;

/// The offset of CLOCK_REALTIME from CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// How far CLOCK_REALTIME is ahead, ns.
    ahead_ns: i128,
    /// The error of that, ns.
    error_ns: u64,
}

impl WallClock {
    /// Compares the clocks now.
    ///
    /// # Errors
    /// If a clock cannot be read.
    pub fn measure() -> io::Result<Self> {
        let mut best: Option<Self> = None;
        for _ in 0..READINGS {
            let before = nanoseconds(ClockId::Monotonic)?;
            let wall = nanoseconds(ClockId::Realtime)?;
            let after = nanoseconds(ClockId::Monotonic)?;
            let reading = Self::between(before, wall, after);
            if best.is_none_or(|best| reading.error_ns < best.error_ns) {
                best = Some(reading);
            }
        }
        best.ok_or_else(|| io::Error::other("the clocks were not read"))
    }

    /// From a reading of the wall clock between two readings of the monotonic one.
    fn between(before: u64, wall: u64, after: u64) -> Self {
        let half = after.saturating_sub(before).div_ceil(2);
        Self {
            ahead_ns: i128::from(wall) - i128::from(before) - i128::from(half),
            error_ns: half,
        }
    }

    /// Converts a time of CLOCK_REALTIME to CLOCK_MONOTONIC, ns; `None` if it was before boot.
    pub fn monotonic(self, wall_ns: u64) -> Option<u64> {
        u64::try_from(i128::from(wall_ns) - self.ahead_ns).ok()
    }

    /// The time of CLOCK_REALTIME at a time of CLOCK_MONOTONIC, ns.
    pub fn wall_of(self, monotonic_ns: u64) -> u64 {
        u64::try_from(i128::from(monotonic_ns) + self.ahead_ns).unwrap_or(0)
    }

    /// The error of a converted time, ns.
    pub fn error_ns(self) -> u64 {
        self.error_ns
    }

    /// How far the wall clock was set relative to the monotonic one between the two readings, ns;
    /// 0 if that is within their errors.
    pub fn moved(self, later: Self) -> u64 {
        let moved = self.ahead_ns.abs_diff(later.ahead_ns);
        let error = u128::from(self.error_ns) + u128::from(later.error_ns);
        if moved <= error {
            return 0;
        }
        u64::try_from(moved).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_is_converted_with_its_error() {
        let clock = WallClock::between(1000, 5_000_050, 1101);
        assert_eq!(clock.error_ns(), 51);
        assert_eq!(clock.monotonic(5_000_050), Some(1051));
        assert_eq!(clock.monotonic(0), None);
        // A wall clock that is behind, as before its first synchronization.
        let behind = WallClock::between(1000, 10, 1000);
        assert_eq!(behind.monotonic(10), Some(1000));
    }

    #[test]
    fn a_clock_that_was_set_has_moved() {
        let clock = WallClock::between(1000, 5_000_050, 1100);
        assert_eq!(clock.moved(WallClock::between(2000, 5_001_080, 2100)), 0);
        let set = WallClock::between(2000, 6_001_050, 2100);
        assert_eq!(clock.moved(set), 1_000_000);
    }

    #[test]
    fn this_machine_has_both() {
        let clock = WallClock::measure().unwrap();
        let wall = nanoseconds(ClockId::Realtime).unwrap();
        let before = monotonic_ns().unwrap();
        let converted = clock.monotonic(wall).unwrap();
        assert!(
            converted <= before + clock.error_ns(),
            "{converted} {before}"
        );
    }
}
