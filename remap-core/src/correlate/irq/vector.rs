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

/// A sub-index of an IRQ index.
#[derive(Clone, Debug, Default)]
pub(super) struct Vector {
    context: Option<ContextKey>,
    pending: VecDeque<Pending>,
    /// Unread signals beyond those, all later.
    beyond: u64,
    /// Records were lost, or a call failed, since it was enabled: a read may be missing.
    pub(super) doubtful: bool,
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
        self.asked_ns = None;
        self.doubtful = true;
    }

    /// The time of the oldest unread signal.
    pub(super) fn first_ns(&self) -> Option<u64> {
        self.pending.front().map(|signal| signal.ns)
    }

    /// The number of unread signals.
    pub(super) fn unread(&self) -> u64 {
        self.pending.len() as u64 + self.beyond
    }

    pub(super) fn signal(&mut self, ns: u64, addend: u64, context: ContextKey) {
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

    /// The counter was read. Returns how many signals it had, and the time of the first. A signal's
    /// record precedes its effect on the counter, so the value may lack the last ones.
    pub(super) fn take(&mut self, value: Option<u64>) -> (u64, Option<u64>) {
        let first_ns = self.pending.front().map(|signal| signal.ns);
        let mut rest = value.unwrap_or(u64::MAX);
        let mut taken = 0;
        while let Some(signal) = self.pending.front().filter(|signal| signal.addend <= rest) {
            rest -= signal.addend;
            taken += 1;
            self.pending.pop_front();
        }
        if self.pending.is_empty() {
            let beyond = self.beyond.min(rest);
            self.beyond -= beyond;
            taken += beyond;
        }
        (taken, first_ns.filter(|_| taken > 0))
    }

    /// Another eventfd, or none. Returns the number of unread signals of the old one.
    pub(super) fn set(&mut self, context: Option<ContextKey>) -> u64 {
        let before = self.unread();
        if self.context != context || context.is_none() {
            self.pending
                .retain(|signal| Some(signal.context) == context);
            self.beyond = 0;
            self.asked_ns = None;
        }
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
            vector.signal(*ns, *addend, CONTEXT);
        }
        vector
    }

    #[test]
    fn a_value_gives_the_number_of_signals_that_a_read_got() {
        let mut vector = vector(&[(10, 1), (20, 1), (30, 1)]);
        assert_eq!(vector.take(Some(2)), (2, Some(10)));
        assert_eq!(vector.take(Some(1)), (1, Some(30)));
        assert_eq!(vector.take(Some(1)), (0, None));
    }

    #[test]
    fn a_bitmap_is_taken_by_its_sum() {
        let mut vector = vector(&[(10, 5), (20, 2)]);
        assert_eq!(vector.take(Some(4)), (0, None));
        assert_eq!(vector.take(Some(7)), (2, Some(10)));
    }

    #[test]
    fn a_value_that_was_not_seen_takes_all() {
        let signals: Vec<(u64, u64)> = (0..3000).map(|ns| (ns, 1)).collect();
        let mut vector = vector(&signals);
        assert_eq!(vector.unread(), 3000);
        assert_eq!(vector.take(None), (3000, Some(0)));
        assert_eq!(vector.unread(), 0);
    }

    #[test]
    fn another_eventfd_leaves_the_old_ones_signals_unread() {
        let mut vector = vector(&[(10, 1)]);
        assert_eq!(vector.set(Some(CONTEXT)), 0);
        assert_eq!(vector.set(Some(ContextKey(2))), 1);
        vector.signal(20, 1, ContextKey(2));
        assert_eq!(vector.set(None), 1);
    }
}
