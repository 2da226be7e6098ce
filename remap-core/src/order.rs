//! Items in the order of time, across CPUs.
//!
//! ```text
//!            time taken   record reserved
//! CPU 0  ────────●───────────────○──────────▶   a late reservation of an early time
//! CPU 1  ───────────●──○────────────────────▶
//!                                     ▲ watermark: what was seen before this time was taken
//! items before it, less the slack  ───┘ from the ring, so every earlier item has been pushed
//! ```
//!
//! The ring keeps the order of reservation. A program takes its time first and reserves then; in
//! between, an interrupt's program or another CPU may overtake it. So items wait until the
//! watermark has passed them by [`SLACK_NS`]. One that comes later still is released at once and
//! counted: it is out of order, but never lost.

use std::{cmp::Reverse, collections::BinaryHeap};

/// How long a program may take from its clock to its reservation, ns. On a busy virtual machine
/// a CPU is taken away for milliseconds at a time.
pub const SLACK_NS: u64 = 5_000_000;

/// Puts items in order of the times that they are pushed with.
pub struct Order<T> {
    waiting: BinaryHeap<Reverse<Waiting<T>>>,
    pushed: u64,
    released_ns: u64,
    late: u64,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self {
            waiting: BinaryHeap::new(),
            pushed: 0,
            released_ns: 0,
            late: 0,
        }
    }
}

struct Waiting<T> {
    time_ns: u64,
    /// Items of one instant keep the order of their reservation.
    position: u64,
    item: T,
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Waiting<T> {}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> Waiting<T> {
    fn key(&self) -> (u64, u64) {
        (self.time_ns, self.position)
    }
}

impl<T> Order<T> {
    /// Takes an item with its time (CLOCK_MONOTONIC ns), in the order of the ring.
    pub fn push(&mut self, time_ns: u64, item: T) {
        if time_ns < self.released_ns {
            self.late += 1;
        }
        self.waiting.push(Reverse(Waiting {
            time_ns,
            position: self.pushed,
            item,
        }));
        self.pushed += 1;
    }

    /// The earliest time, from `time_ns` on, at which an item still finds its place.
    pub fn in_time(&self, time_ns: u64) -> u64 {
        time_ns.max(self.released_ns)
    }

    /// Releases what is older than the watermark less the slack, in order. `watermark_ns` is a
    /// time before which every record has been pushed (CLOCK_MONOTONIC).
    pub fn release(&mut self, watermark_ns: u64, take: impl FnMut(T)) {
        self.release_until(watermark_ns.saturating_sub(SLACK_NS), take);
    }

    /// Releases everything that still waits, in order.
    pub fn finish(&mut self, take: impl FnMut(T)) {
        self.release_until(u64::MAX, take);
    }

    fn release_until(&mut self, until_ns: u64, mut take: impl FnMut(T)) {
        while let Some(Reverse(first)) = self.waiting.peek()
            && first.time_ns <= until_ns
        {
            if let Some(Reverse(first)) = self.waiting.pop() {
                self.released_ns = self.released_ns.max(first.time_ns);
                take(first.item);
            }
        }
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
    fn a_time_that_was_passed_is_moved_to_the_last_that_was_released() {
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
    }
}
