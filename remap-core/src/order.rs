//! Items in the order of time, across CPUs.
//!
//! ```text
//!            time taken   record reserved
//! CPU 0  ────────●───────────────○──────────▶   a late reservation of an early time
//! CPU 1  ───────────●──○────────────────────▶
//!                                     ▲ watermark: every record from before this time has been
//! items before it, less the slack  ───┘ read from the ring, so every earlier item has been pushed
//! ```
//!
//! The ring keeps the order of reservation. A program takes its time first and reserves then; in
//! between, an interrupt's program or another CPU may overtake it. So items wait until the
//! watermark has passed them by [`SLACK_NS`]. An item that arrives after a later one was
//! released is counted as late and released next: out of order, but not lost.

use std::collections::BTreeMap;

/// How long a program may take from its clock to its reservation, ns. On a busy virtual machine
/// a CPU is taken away for milliseconds at a time.
pub const SLACK_NS: u64 = 5_000_000;

/// How many items wait at most after a release; then the slack is shorter. This bounds the memory
/// whatever arrives: an event has at most about 1 KiB.
pub const MOST: usize = 16_384;

/// Puts items in order of the times that they are pushed with.
pub struct Order<T> {
    /// By time and position: items of one instant keep the order of their reservation.
    waiting: BTreeMap<(u64, u64), T>,
    pushed: u64,
    released_ns: u64,
    late: u64,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            pushed: 0,
            released_ns: 0,
            late: 0,
        }
    }
}

impl<T> Order<T> {
    /// Takes an item with its time (CLOCK_MONOTONIC ns), in the order of the ring.
    pub fn push(&mut self, time_ns: u64, item: T) {
        if time_ns < self.released_ns {
            self.late += 1;
        }
        self.waiting.insert((time_ns, self.pushed), item);
        self.pushed += 1;
    }

    /// `time_ns`, or the last time that was released if that is later: an item that is pushed with
    /// the result is not late.
    pub fn in_time(&self, time_ns: u64) -> u64 {
        time_ns.max(self.released_ns)
    }

    /// Releases the items up to the watermark less the slack, in order, and the first of those
    /// beyond [`MOST`]. `watermark_ns` is a time before which every record has been pushed
    /// (CLOCK_MONOTONIC).
    pub fn release(&mut self, watermark_ns: u64, take: impl FnMut(T)) {
        self.release_until(watermark_ns.saturating_sub(SLACK_NS), take);
    }

    /// Releases everything that still waits, in order.
    pub fn finish(&mut self, take: impl FnMut(T)) {
        self.release_until(u64::MAX, take);
    }

    fn release_until(&mut self, until_ns: u64, mut take: impl FnMut(T)) {
        loop {
            let over = self.waiting.len() > MOST;
            let Some(first) = self.waiting.first_entry() else {
                return;
            };
            if first.key().0 > until_ns && !over {
                return;
            }
            let ((time_ns, _), item) = first.remove_entry();
            self.released_ns = self.released_ns.max(time_ns);
            take(item);
        }
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many items came after a later one had been released.
    pub fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn released(order: &mut Order<u64>, watermark_ns: u64) -> Vec<u64> {
        let mut items = Vec::new();
        order.release(watermark_ns, |item| items.push(item));
        items
    }

    #[test]
    fn items_wait_for_the_watermark() {
        let mut order = Order::default();
        order.push(SLACK_NS, 1);
        assert!(released(&mut order, SLACK_NS * 2 - 1).is_empty());
        assert!(!order.is_empty());
        assert_eq!(released(&mut order, SLACK_NS * 2), [1]);
        assert!(order.is_empty());
    }

    #[test]
    fn a_late_item_is_counted_and_released() {
        let mut order = Order::default();
        order.push(100, 1);
        order.push(100, 2);
        assert_eq!(order.late(), 0);
        assert_eq!(released(&mut order, SLACK_NS + 100), [1, 2]);
        order.push(100, 3);
        assert_eq!(order.late(), 0, "the same instant is in time");
        order.push(99, 4);
        assert_eq!(order.late(), 1);
        let mut rest = Vec::new();
        order.finish(|item| rest.push(item));
        assert_eq!(rest, [4, 3]);
    }

    #[test]
    fn no_more_than_so_many_wait() {
        let mut order = Order::default();
        let count = MOST as u64 + 3;
        (0..count).for_each(|ns| order.push(ns, ns));
        assert_eq!(order.len(), MOST + 3);
        assert_eq!(released(&mut order, 0), [0, 1, 2]);
        assert_eq!((order.len(), order.late()), (MOST, 0));
        order.push(1, 1);
        assert_eq!(order.late(), 1, "released without the slack");
    }

    #[test]
    fn in_time_moves_an_early_time_to_the_last_released_time() {
        let mut order = Order::default();
        order.push(100, 1);
        assert_eq!(order.in_time(50), 50);
        released(&mut order, SLACK_NS + 100);
        assert_eq!(order.in_time(50), 100);
        assert_eq!(order.in_time(150), 150);
    }

    #[test]
    fn the_end_releases_the_last_instant_too() {
        let mut order = Order::default();
        order.push(u64::MAX, 1);
        let mut rest = Vec::new();
        order.finish(|item| rest.push(item));
        assert_eq!(rest, [1]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_time_never_goes_back(times in prop::collection::vec(0u64..1000, 0..200)) {
            let mut order = Order::default();
            for (n, time) in times.iter().enumerate() {
                order.push(*time, (*time, n));
            }
            let mut seen: Vec<(u64, usize)> = Vec::new();
            order.finish(|item| seen.push(item));
            prop_assert_eq!(seen.len(), times.len());
            prop_assert!(seen.is_sorted());
        }

        #[test]
        fn an_item_is_late_exactly_if_a_later_one_was_released(
            times in prop::collection::vec(0u64..50, 1..60),
            watermark in 0u64..50,
        ) {
            let (mut order, mut last, mut late) = (Order::default(), 0, 0);
            for time in times {
                prop_assert_eq!(order.in_time(time), time.max(last));
                late += u64::from(time < last);
                order.push(time, time);
                order.release(SLACK_NS + watermark, |time| last = last.max(time));
                prop_assert_eq!(order.late(), late);
            }
        }
    }
}
