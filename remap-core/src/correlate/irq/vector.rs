//! The eventfd of one sub-index of an IRQ index, and its unread signals.

use std::collections::VecDeque;

use crate::event::ContextKey;

/// How many unread signals are stored with their time.
const PENDING: usize = 32;

/// A signal that was not read yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    ns: u64,
    addend: u64,
    context: ContextKey,
}

/// What a read got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Recorded signals.
    pub(super) signals: u64,
    /// The time of the first of them.
    pub(super) first_ns: Option<u64>,
    /// What the counter contained without a record: the signals that were lost, each of which adds 1.
    pub(super) missing: u64,
    /// Signals may be missing, and the counter does not show whether.
    pub(super) unproven: bool,
}

/// A sub-index of an IRQ index.
#[derive(Clone, Debug, Default)]
pub(super) struct Vector {
    context: Option<ContextKey>,
    pending: VecDeque<Pending>,
    /// Unread signals beyond those, all later.
    beyond: u64,
    /// Records were lost, or a call failed, since it was enabled: a read may be missing.
    pub(super) doubtful: bool,
    /// Whether signals may be missing, and the counter has not been read since.
    gap: bool,
    /// What the counter contained before the first recorded signal.
    prior: u64,
    /// What user space has added to the counter itself and has not read.
    written: u64,
    /// Whether the counter's value is known but for signals: since its first signal or read.
    based: bool,
    /// When the driver first signalled it (not on behalf of user space), since it was enabled.
    pub(super) asked_ns: Option<u64>,
}

impl Vector {
    /// Its eventfd; `None` while it is not enabled.
    pub(super) fn context(&self) -> Option<ContextKey> {
        self.context
    }

    /// Records were lost.
    pub(super) fn lose(&mut self) {
        self.pending.clear();
        self.beyond = 0;
        self.prior = 0;
        self.written = 0;
        self.based = false;
        self.gap = false;
        self.asked_ns = None;
        self.doubtful = true;
    }

    /// Whether nothing has been stored since records were last lost.
    pub(super) fn is_lost(&self) -> bool {
        self.doubtful && !self.based && !self.gap && self.unread() == 0 && self.written == 0
    }

    /// Signals may have been lost: the next reads show whether one is missing.
    pub(super) fn lose_signals(&mut self) {
        self.gap = true;
    }

    /// Whether a signal may be missing that no read has shown yet.
    pub(super) fn has_gap(&self) -> bool {
        self.gap
    }

    /// User space added to the counter itself, by an amount that may not be known.
    pub(super) fn written(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.written = self.written.saturating_add(value),
            None => self.based = false,
        }
    }

    /// The time of the oldest unread signal.
    pub(super) fn first_ns(&self) -> Option<u64> {
        self.pending.front().map(|signal| signal.ns)
    }

    /// The number of unread signals.
    pub(super) fn unread(&self) -> u64 {
        self.pending.len() as u64 + self.beyond
    }

    /// The kernel adds `addend`; `count` is the counter before, if it could be read.
    pub(super) fn signal(&mut self, ns: u64, signal: (u64, Option<u64>), context: ContextKey) {
        let (addend, count) = signal;
        if let Some(count) = count.filter(|_| !self.based && self.unread() == 0) {
            self.prior = count;
            self.based = true;
        }
        if self.pending.len() < PENDING {
            self.pending.push_back(Pending {
                ns,
                addend,
                context,
            });
        } else {
            self.beyond += 1;
        }
    }

    /// The counter was read. A signal's record precedes its effect on the counter, so the value may
    /// lack the last ones.
    pub(super) fn take(&mut self, value: Option<u64>) -> Taken {
        let first_ns = self.pending.front().map(|signal| signal.ns);
        let mut rest = value.unwrap_or(u64::MAX);
        rest -= std::mem::take(&mut self.prior).min(rest);
        let mut taken = 0;
        while let Some(signal) = self.pending.front().filter(|signal| signal.addend <= rest) {
            rest -= signal.addend;
            taken += 1;
            self.pending.pop_front();
        }
        if self.pending.is_empty() {
            let beyond = self.beyond.min(rest);
            self.beyond -= beyond;
            rest -= beyond;
            taken += beyond;
        }
        let written = self.written.min(rest);
        self.written -= written;
        rest -= written;
        let based = std::mem::replace(&mut self.based, value.is_some());
        let missing = rest * u64::from(self.gap && based && value.is_some());
        let unproven = self.gap && !based;
        // What is pending takes effect later, and so may a signal that is missing.
        self.gap &= value.is_none() || self.unread() > 0;
        Taken {
            signals: taken,
            first_ns: first_ns.filter(|_| taken > 0),
            missing,
            unproven,
        }
    }

    /// Another eventfd, or none. Returns the number of unread signals of the old one.
    pub(super) fn set(&mut self, context: Option<ContextKey>) -> u64 {
        let before = self.unread();
        if self.context != context || context.is_none() {
            self.pending
                .retain(|signal| Some(signal.context) == context);
            self.beyond = 0;
            self.prior = 0;
            self.written = 0;
            self.based = false;
            self.asked_ns = None;
        }
        self.gap = false;
        self.doubtful = false;
        self.context = context;
        before - self.unread()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: ContextKey = ContextKey(1);

    fn vector(signals: &[(u64, u64)]) -> Vector {
        let mut vector = Vector::default();
        for (ns, addend) in signals {
            vector.signal(*ns, (*addend, Some(vector.unread())), CONTEXT);
        }
        vector
    }

    fn taken(vector: &mut Vector, value: Option<u64>) -> (u64, Option<u64>) {
        let Taken {
            signals, first_ns, ..
        } = vector.take(value);
        (signals, first_ns)
    }

    #[test]
    fn a_value_gives_the_number_of_signals_that_a_read_got() {
        let mut vector = vector(&[(10, 1), (20, 1), (30, 1)]);
        assert_eq!(taken(&mut vector, Some(2)), (2, Some(10)));
        assert_eq!(taken(&mut vector, Some(1)), (1, Some(30)));
        assert_eq!(taken(&mut vector, Some(1)), (0, None));
    }

    #[test]
    fn a_bitmap_is_taken_by_its_sum() {
        let mut vector = vector(&[(10, 5), (20, 2)]);
        assert_eq!(taken(&mut vector, Some(4)), (0, None));
        assert_eq!(taken(&mut vector, Some(7)), (2, Some(10)));
    }

    #[test]
    fn a_value_that_was_not_seen_takes_all() {
        let signals: Vec<(u64, u64)> = (0..3000).map(|ns| (ns, 1)).collect();
        let mut vector = vector(&signals);
        assert_eq!(vector.unread(), 3000);
        assert_eq!(taken(&mut vector, None), (3000, Some(0)));
        assert_eq!(vector.unread(), 0);
    }

    #[test]
    fn another_eventfd_leaves_the_old_ones_signals_unread() {
        let mut vector = vector(&[(10, 1)]);
        assert_eq!(vector.set(Some(CONTEXT)), 0);
        assert_eq!(vector.set(Some(ContextKey(2))), 1);
        vector.signal(20, (1, Some(0)), ContextKey(2));
        assert_eq!(vector.set(None), 1);
    }

    #[test]
    fn the_counter_shows_how_many_signals_were_lost() {
        let mut vector = vector(&[(10, 1), (20, 1)]);
        vector.lose_signals();
        let got = vector.take(Some(5));
        assert_eq!((got.signals, got.missing, got.unproven), (2, 3, false));
        assert!(!vector.has_gap());
        vector.lose_signals();
        vector.signal(30, (1, Some(0)), CONTEXT);
        let got = vector.take(Some(1));
        assert_eq!((got.signals, got.missing), (1, 0), "none is missing");
        assert!(!vector.has_gap());
    }

    #[test]
    fn what_was_stored_since_a_loss_may_be_lost_too() {
        let mut vector = vector(&[(10, 1)]);
        assert!(!vector.is_lost());
        vector.lose();
        assert!(vector.is_lost());
        vector.signal(20, (1, None), CONTEXT);
        assert!(!vector.is_lost());
    }

    #[test]
    fn a_gap_lasts_until_what_is_pending_was_read() {
        let mut vector = vector(&[(10, 1), (20, 1), (30, 1)]);
        vector.lose_signals();
        // It contains a signal that was lost, and not yet the last recorded one.
        let got = vector.take(Some(2));
        assert_eq!((got.signals, got.missing), (2, 0));
        assert!(vector.has_gap());
        assert_eq!(vector.take(Some(2)).missing, 1);
        assert!(!vector.has_gap());
    }

    #[test]
    fn what_was_in_the_counter_otherwise_is_no_lost_signal() {
        let mut vector = Vector::default();
        vector.signal(10, (1, Some(4)), CONTEXT);
        vector.lose_signals();
        vector.written(Some(3));
        assert_eq!(vector.take(Some(8)).missing, 0);
        // Enabled with a counter that nothing shows.
        vector.set(Some(ContextKey(2)));
        vector.lose_signals();
        let got = vector.take(Some(9));
        assert_eq!((got.missing, got.unproven), (0, true));
    }
}
