//! A turn: the bounded work between two looks at everything else that the reactor waits for.

use std::time::{Duration, Instant};

/// How many records a turn takes.
const RECORDS: u32 = 1024;
/// How long it takes records.
const TIME: Duration = Duration::from_millis(10);
/// How many records are taken between two looks at the clock.
const STRIDE: u32 = 64;

/// What a turn may still take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    records: u32,
    until: Instant,
}

impl Turn {
    /// A turn that begins now.
    pub fn begin() -> Self {
        Self::from(Instant::now())
    }

    /// Whether it takes one more record, and counts that. `now` is asked at times.
    pub fn goes_on(&mut self, now: impl Fn() -> Instant) -> bool {
        let taken = RECORDS - self.records;
        if self.records == 0 || (taken.is_multiple_of(STRIDE) && now() >= self.until) {
            return false;
        }
        self.records -= 1;
        true
    }
}

impl From<Instant> for Turn {
    fn from(now: Instant) -> Self {
        Self {
            records: RECORDS,
            until: now + TIME,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_after_so_many_records() {
        let begin = Instant::now();
        let mut turn = Turn::from(begin);
        let taken = (0..).take_while(|_| turn.goes_on(|| begin)).count();
        assert_eq!(taken, RECORDS as usize);
    }

    #[test]
    fn a_turn_ends_with_its_time() {
        let begin = Instant::now();
        let mut turn = Turn::from(begin);
        assert!(!turn.goes_on(|| begin + TIME));
        assert!(turn.goes_on(|| begin));
        let taken = (0..).take_while(|_| turn.goes_on(|| begin + TIME)).count();
        assert_eq!(taken + 1, STRIDE as usize, "the clock is read at times");
    }
}
