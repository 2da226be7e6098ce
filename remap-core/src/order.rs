//! Events in the order of time, across CPUs.
//!
//! ```text
//!            time taken   record reserved
//! CPU 0  ────────●───────────────○──────────▶   a late reservation of an early time
//! CPU 1  ───────────●──○────────────────────▶
//!                                     ▲ watermark: what was seen before this time was taken
//! events before it, less the slack ───┘ from the ring, so every earlier event has been pushed
//! ```
//!
//! The ring keeps the order of reservation. A program takes its time first and reserves then; in
//! between, an interrupt's program or another CPU may overtake it. So events wait until the
//! watermark has passed them by [`SLACK_NS`]. One that comes later still is handed on at once and
//! counted: it is out of order, but never lost.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::event::Event;

/// How long a program may take from its clock to its reservation, ns. On a busy virtual machine
/// a CPU is taken away for milliseconds at a time.
pub const SLACK_NS: u64 = 5_000_000;

/// Puts events in order.
#[derive(Default)]
pub struct Order {
    waiting: BinaryHeap<Reverse<Waiting>>,
    pushed: u64,
    released_ns: u64,
    late: u64,
}

struct Waiting {
    time_ns: u64,
    /// Events of one instant keep the order of their reservation.
    position: u64,
    event: Event,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Waiting {
    fn key(&self) -> (u64, u64) {
        (self.time_ns, self.position)
    }
}

impl Order {
    /// Takes an event in the order of the ring.
    pub fn push(&mut self, event: Event) {
        if event.time_ns < self.released_ns {
            self.late += 1;
        }
        self.waiting.push(Reverse(Waiting {
            time_ns: event.time_ns,
            position: self.pushed,
            event,
        }));
        self.pushed += 1;
    }

    /// The earliest time, from `time_ns` on, at which an event still finds its place.
    pub fn in_time(&self, time_ns: u64) -> u64 {
        time_ns.max(self.released_ns)
    }

    /// Hands on what is older than the watermark less the slack, in order. `watermark_ns` is a
    /// time before which every record has been pushed (CLOCK_MONOTONIC).
    pub fn release(&mut self, watermark_ns: u64, mut take: impl FnMut(Event)) {
        let until = watermark_ns.saturating_sub(SLACK_NS);
        while let Some(Reverse(first)) = self.waiting.peek()
            && first.time_ns <= until
        {
            if let Some(Reverse(first)) = self.waiting.pop() {
                self.released_ns = self.released_ns.max(first.time_ns);
                take(first.event);
            }
        }
    }

    /// Hands on everything that still waits, in order.
    pub fn finish(&mut self, take: impl FnMut(Event)) {
        self.release(u64::MAX, take);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many events came after a later one had been handed on.
    pub fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Body, DeviceKey, Task};

    fn at(time_ns: u64, device: u64) -> Event {
        let task = Task {
            pid: 1,
            tid: 1,
            comm: String::new(),
        };
        let body = Body::Close {
            device: DeviceKey(device),
            dying: None,
        };
        Event {
            time_ns,
            cpu: 0,
            task,
            body,
        }
    }

    #[test]
    fn events_wait_for_the_watermark() {
        let mut order = Order::default();
        order.push(at(SLACK_NS, 1));
        let mut seen = Vec::new();
        order.release(SLACK_NS * 2 - 1, |event| seen.push(event));
        assert!(seen.is_empty());
        order.release(SLACK_NS * 2, |event| seen.push(event));
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn a_late_event_is_counted_and_handed_on() {
        let mut order = Order::default();
        order.push(at(100, 1));
        order.release(u64::MAX, drop);
        order.push(at(50, 2));
        let mut seen = Vec::new();
        order.finish(|event| seen.push(event.time_ns));
        assert_eq!((seen, order.late()), (vec![50], 1));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_time_never_goes_back(times in prop::collection::vec(0u64..1000, 0..200)) {
            let mut order = Order::default();
            for (n, time) in times.iter().enumerate() {
                order.push(at(*time, n as u64));
            }
            let mut seen: Vec<(u64, u64)> = Vec::new();
            order.finish(|event| {
                let Body::Close { device, .. } = event.body else { unreachable!() };
                seen.push((event.time_ns, device.0));
            });
            prop_assert_eq!(seen.len(), times.len());
            prop_assert!(seen.is_sorted());
        }
    }
}
