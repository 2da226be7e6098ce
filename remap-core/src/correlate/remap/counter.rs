//! A model of the counter of a bitmap's eventfd: the triggers that a read got, and the value that it
//! should have got.
//!
//! The kernel's counter is a sum. A record and its effect are not at the same instant:
//! ```text
//! signal   record ── effect                 a read in between does not get it, yet is later
//! write    begin ── effect ── record        another thread's read may come before the record
//! ```
//! So a read may lack the last items. A read that is not explained waits for the record of a write
//! that began before it.

use crate::correlate::rules::Misread;

/// How many signals may be unread before the oldest is dropped.
const MAX_PENDING: usize = 4096;

/// A value that was added to the counter.
#[derive(Clone, Copy, Debug)]
enum Item {
    Signal { trigger_id: u64, addend: u64 },
    Own { value: u64 },
}

impl Item {
    fn amount(self) -> u64 {
        match self {
            Self::Signal { addend, .. } => addend,
            Self::Own { value } => value,
        }
    }
}

/// The result of a read of the counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The value is the OR of the addends, or it cannot be checked.
    Clean {
        /// The triggers that the read consumed, oldest first.
        ids: Vec<u64>,
    },
    /// The value is the sum of the addends, and not their OR.
    Aliased(Misread),
    /// The value contains a value that user space wrote itself.
    Own(Misread),
    /// The value is not explained yet.
    Doubtful(Misread),
}

impl Reading {
    /// The triggers that the read consumed, oldest first.
    pub(super) fn ids(&self) -> &[u64] {
        match self {
            Self::Clean { ids } => ids,
            Self::Aliased(misread) | Self::Own(misread) | Self::Doubtful(misread) => &misread.ids,
        }
    }
}

/// A read that is not explained yet; it waits for a write until its time is up.
#[derive(Clone, Debug)]
struct Doubt {
    read_ns: u64,
    misread: Misread,
    base: u64,
    /// The items that were pending: a write that explains the read may show that it did not get all.
    items: Vec<Item>,
}

/// The model of one counter.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    pending: Vec<Item>,
    /// The counter's value before the first known item.
    base: u64,
    fresh: bool,
    uncertain: bool,
    /// A signal since the last read may be missing.
    gap: bool,
    doubt: Option<Doubt>,
    /// The last read got user space's own write and no trigger.
    pub(super) false_wake: bool,
}

impl Counter {
    /// How much is stored ([`crate::correlate::room`]).
    pub(super) fn room(&self) -> usize {
        self.pending.len() + self.doubt.as_ref().map_or(0, |doubt| doubt.items.len())
    }

    /// Whether no read waits to be explained.
    pub(super) fn is_quiet(&self) -> bool {
        self.doubt.is_none()
    }

    /// A context that was just given to the kernel.
    pub(super) fn new() -> Self {
        Self {
            fresh: true,
            ..Self::default()
        }
    }

    /// The kernel adds `addend`; `count` is the counter before, if it could be read.
    pub(super) fn signal(&mut self, trigger_id: u64, addend: u64, count: Option<u64>) {
        if self.fresh && self.pending.is_empty() {
            self.base = count.unwrap_or(0);
        }
        self.fresh = false;
        if self.pending.len() >= MAX_PENDING {
            self.pending.remove(0);
            self.uncertain = true;
        }
        self.pending.push(Item::Signal { trigger_id, addend });
    }

    /// User space wrote `value` in a call that began at `begin_ns`. Returns the read that this
    /// explains, if one waited for that.
    pub(super) fn write(&mut self, begin_ns: u64, value: Option<u64>) -> Option<Misread> {
        let Some(value) = value else {
            self.uncertain = true;
            return None;
        };
        if value == 0 {
            return None;
        }
        if let Some(doubt) = self.doubt.take_if(|doubt| begin_ns <= doubt.read_ns) {
            let others = doubt.misread.value.wrapping_sub(value);
            if let Some(length) = prefix(&doubt.items, doubt.base, others) {
                let (taken, rest) = doubt.items.split_at(length);
                self.pending.splice(0..0, rest.iter().copied());
                let misread = misread(doubt.misread.value, doubt.base, taken);
                self.false_wake = misread.ids.is_empty();
                return Some(misread);
            }
            self.doubt = Some(doubt);
        }
        self.pending.push(Item::Own { value });
        None
    }

    /// User space read `value`; the counter is 0 now, plus the items that take effect later.
    pub(super) fn read(&mut self, read_ns: u64, value: Option<u64>) -> Reading {
        self.fresh = false;
        let base = std::mem::take(&mut self.base);
        let uncertain = std::mem::take(&mut self.uncertain);
        let gap = std::mem::take(&mut self.gap);
        self.false_wake = false;
        let (true, Some(value)) = (!uncertain, value) else {
            let taken = std::mem::take(&mut self.pending);
            return Reading::Clean { ids: ids(&taken) };
        };
        let Some(length) = prefix(&self.pending, base, value) else {
            if gap {
                // The rest of the value is that of signals without a record.
                let taken = std::mem::take(&mut self.pending);
                return Reading::Clean { ids: ids(&taken) };
            }
            let taken = std::mem::take(&mut self.pending);
            let misread = misread(value, base, &taken);
            self.doubt = Some(Doubt {
                read_ns,
                misread: misread.clone(),
                base,
                items: taken,
            });
            return Reading::Doubtful(misread);
        };
        let rest = self.pending.split_off(length);
        let taken = std::mem::replace(&mut self.pending, rest);
        let own = taken.iter().any(|item| matches!(item, Item::Own { .. }));
        let misread = misread(value, base, &taken);
        if own {
            self.false_wake = misread.ids.is_empty();
            Reading::Own(misread)
        } else if misread.or != value {
            Reading::Aliased(misread)
        } else {
            Reading::Clean { ids: misread.ids }
        }
    }

    /// The read that is not explained, if it was before `until_ns`; it does not wait any longer.
    pub(super) fn expired(&mut self, until_ns: u64) -> Option<Misread> {
        self.doubt
            .take_if(|doubt| doubt.read_ns < until_ns)
            .map(|doubt| doubt.misread)
    }

    /// Signals may have been lost: the next read may get more than the recorded ones.
    pub(super) fn lose_signals(&mut self) {
        self.gap = true;
        self.doubt = None;
    }

    /// Records were lost: the next read's value cannot be checked. Pending items stay, so that the
    /// read still counts as their wake.
    pub(super) fn lose(&mut self) {
        self.uncertain = true;
        self.doubt = None;
        self.false_wake = false;
    }
}

/// How many of `items`, from the first, add up to `value`: as many as possible.
fn prefix(items: &[Item], base: u64, value: u64) -> Option<usize> {
    let mut sum = base;
    let mut found = (sum == value).then_some(0);
    for (n, item) in items.iter().enumerate() {
        sum = sum.wrapping_add(item.amount());
        if sum == value {
            found = Some(n + 1);
        }
    }
    found
}

fn ids(items: &[Item]) -> Vec<u64> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Signal { trigger_id, .. } => Some(*trigger_id),
            Item::Own { .. } => None,
        })
        .collect()
}

fn misread(value: u64, base: u64, items: &[Item]) -> Misread {
    let or = items.iter().fold(base, |or, item| match item {
        Item::Signal { addend, .. } => or | addend,
        Item::Own { .. } => or,
    });
    Misread {
        value,
        or,
        ids: ids(items),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_or_is_clean() {
        let mut counter = Counter::new();
        counter.signal(1, 0b01, Some(0));
        counter.signal(2, 0b10, Some(1));
        let reading = counter.read(10, Some(0b11));
        assert_eq!(reading, Reading::Clean { ids: vec![1, 2] });
    }

    #[test]
    fn the_same_bit_twice_is_aliased() {
        let mut counter = Counter::new();
        counter.signal(1, 1, Some(0));
        counter.signal(2, 1, Some(1));
        let Reading::Aliased(misread) = counter.read(10, Some(2)) else {
            panic!("a sum that is no OR was believed");
        };
        assert_eq!((misread.value, misread.or), (2, 1));
        assert_eq!(misread.ids, [1, 2]);
    }

    #[test]
    fn a_signal_whose_effect_came_after_the_read_stays() {
        let mut counter = Counter::new();
        counter.signal(1, 1, Some(0));
        counter.signal(2, 4, Some(1));
        let reading = counter.read(10, Some(1));
        assert_eq!(reading, Reading::Clean { ids: vec![1] });
        let reading = counter.read(20, Some(4));
        assert_eq!(reading, Reading::Clean { ids: vec![2] });
    }

    #[test]
    fn an_own_write_is_read_back() {
        let mut counter = Counter::new();
        assert_eq!(counter.write(5, Some(1)), None);
        assert!(matches!(counter.read(10, Some(1)), Reading::Own(_)));
        assert!(counter.false_wake);
    }

    #[test]
    fn an_own_write_is_read_back_before_its_record() {
        let mut counter = Counter::new();
        assert!(matches!(counter.read(10, Some(1)), Reading::Doubtful(_)));
        assert!(counter.write(9, Some(1)).is_some());
        assert_eq!(counter.expired(1000), None);
    }

    #[test]
    fn an_own_write_that_overtook_a_signal() {
        let mut counter = Counter::new();
        counter.read(5, Some(0));
        counter.signal(1, 4, Some(1));
        assert!(matches!(counter.read(10, Some(1)), Reading::Doubtful(_)));
        let misread = counter
            .write(9, Some(1))
            .expect("the write explains the read");
        assert_eq!((misread.or, misread.ids), (0, vec![]));
        let reading = counter.read(20, Some(4));
        assert_eq!(reading, Reading::Clean { ids: vec![1] });
    }

    #[test]
    fn a_value_that_nothing_explains_expires() {
        let mut counter = Counter::new();
        assert!(matches!(counter.read(10, Some(8)), Reading::Doubtful(_)));
        assert_eq!(counter.expired(10), None);
        assert!(counter.expired(11).is_some());
    }

    #[test]
    fn after_a_loss_a_read_wakes_and_is_no_fault() {
        let mut counter = Counter::new();
        counter.signal(1, 1, Some(0));
        counter.lose();
        let reading = counter.read(10, Some(2));
        assert_eq!(reading, Reading::Clean { ids: vec![1] });
    }

    #[test]
    fn a_lost_signal_explains_a_value_that_is_too_large_and_no_other() {
        let mut counter = Counter::new();
        counter.signal(1, 1, Some(0));
        counter.lose_signals();
        let reading = counter.read(10, Some(5));
        assert_eq!(reading, Reading::Clean { ids: vec![1] });
        counter.signal(2, 1, None);
        counter.signal(3, 1, None);
        counter.lose_signals();
        let reading = counter.read(20, Some(2));
        assert!(matches!(reading, Reading::Aliased(_)), "{reading:?}");
        assert!(matches!(counter.read(30, Some(8)), Reading::Doubtful(_)));
    }

    #[test]
    fn what_was_there_before_the_trace_is_no_fault() {
        let mut counter = Counter::new();
        counter.signal(1, 4, Some(2));
        let reading = counter.read(10, Some(6));
        assert_eq!(reading, Reading::Clean { ids: vec![1] });
    }
}
