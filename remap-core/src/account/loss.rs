//! Losses, placed: how many, of what kind, about which device, and when.

use serde::{Deserialize, Serialize};

use remap_common::{
    loss::{LAST_NS, SLOTS, slot_at},
    record::{Enumeration as _, LostKind},
};

use super::Misses;
use crate::event::DeviceKey;

/// How far the time of a single loss may be from the one that is stored, ns: an interrupt may store its
/// own in between.
const BLUR_NS: u64 = 100_000;

/// How many kinds there are.
const KINDS: usize = LostKind::NAMES.len();

/// Records that were lost within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// How many; 0 if it is not known whether any were.
    pub count: u64,
    /// What they can have been.
    pub records: LostKind,
    /// The device that they are about; `None`: any.
    pub device: Option<u64>,
    /// Not before that (CLOCK_MONOTONIC ns).
    pub from_ns: u64,
    /// Not after that.
    pub until_ns: u64,
}

impl Loss {
    /// Records of any kind about any device, lost between two times (CLOCK_MONOTONIC ns).
    pub fn any(count: u64, (from_ns, until_ns): (u64, u64)) -> Self {
        Self {
            count,
            records: LostKind::Other,
            device: None,
            from_ns,
            until_ns,
        }
    }

    /// The device that it is about; `None`: any.
    pub fn device(&self) -> Option<DeviceKey> {
        self.device.map(DeviceKey)
    }

    /// Whether a later loss of the same records begins within this one.
    pub fn continues(&self, later: &Self) -> bool {
        let same = (self.records, self.device) == (later.records, later.device);
        same && (self.from_ns..=self.until_ns).contains(&later.from_ns)
    }

    /// Whether it can have been at that time, about that device (`None`: about no single one).
    pub fn touches(&self, time_ns: u64, device: Option<DeviceKey>) -> bool {
        let within = (self.from_ns..=self.until_ns).contains(&time_ns);
        within && (self.device.is_none() || device.is_none() || self.device() == device)
    }
}

/// The programs' table of losses (`remap_common::loss`), its CPUs summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LossTable {
    slots: [Slot; SLOTS as usize],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    /// 0: any.
    device: u64,
    counts: [u64; KINDS],
    last_ns: u64,
}

impl Slot {
    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl LossTable {
    /// Reads it: the word at an index of the array, for so many CPUs.
    pub fn read(cpus: u32, word: impl Fn(u32) -> u64) -> Self {
        let mut table = Self::default();
        for (number, slot) in (0..SLOTS).zip(&mut table.slots) {
            slot.device = word(number);
            for cpu in 0..cpus {
                let at = slot_at(cpu, number);
                for (kind, count) in (0..).zip(&mut slot.counts) {
                    *count += word(at + kind);
                }
                slot.last_ns = slot.last_ns.max(word(at + LAST_NS));
            }
        }
        table
    }
}

/// Everything that was lost, compared with the last time that was asked.
#[derive(Debug, Default)]
pub struct Losses {
    table: LossTable,
    skipped: [u64; KINDS],
    asked_ns: u64,
}

impl Losses {
    /// What was lost since the last call. `asked_ns`: a time before the table and the skipped runs were
    /// read; `now_ns`: one after that (CLOCK_MONOTONIC). `table` is `None` if it has not changed.
    pub fn since(
        &mut self,
        (asked_ns, now_ns): (u64, u64),
        table: Option<LossTable>,
        skipped: &Misses,
    ) -> Vec<Loss> {
        let from_ns = std::mem::replace(&mut self.asked_ns, asked_ns);
        let mut losses = Vec::new();
        if let Some(table) = table {
            self.placed((from_ns, now_ns), table, &mut losses);
        }
        for (before, (number, _)) in self.skipped.iter_mut().zip(LostKind::NAMES) {
            let Some(records) = LostKind::of_number(*number) else {
                continue;
            };
            let count = skipped.of(records);
            if count > std::mem::replace(before, count) {
                losses.push(Loss {
                    // Each may have been a call of no concern.
                    count: 0,
                    records,
                    device: None,
                    from_ns,
                    until_ns: now_ns,
                });
            }
        }
        losses
    }

    fn placed(&mut self, (from_ns, now_ns): (u64, u64), table: LossTable, losses: &mut Vec<Loss>) {
        let before = std::mem::replace(&mut self.table, table);
        for (now, before) in self.table.slots.iter().zip(&before.slots) {
            let (from_ns, until_ns) = match now.total() - before.total() {
                0 => continue,
                1 if now.last_ns > before.last_ns => (
                    now.last_ns.saturating_sub(BLUR_NS),
                    now.last_ns.saturating_add(BLUR_NS),
                ),
                _ => (from_ns, now_ns),
            };
            let counts = now.counts.iter().zip(&before.counts);
            for ((number, _), (now_count, count)) in LostKind::NAMES.iter().zip(counts) {
                let count = now_count - count;
                if let Some(records) = LostKind::of_number(*number).filter(|_| count > 0) {
                    losses.push(Loss {
                        count,
                        records,
                        device: (now.device != 0).then_some(now.device),
                        from_ns,
                        until_ns,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::account::{Loses, RECURSION};

    const DEVICE: u64 = 77;
    const SLOT: u32 = 5;

    /// Two losses of signals on CPU 1, and `more` of reads on CPU 0, the last at `last_ns`.
    fn table(more: u64, last_ns: u64) -> LossTable {
        let words = BTreeMap::from([
            (SLOT, DEVICE),
            (slot_at(1, SLOT) + LostKind::Signal as u32, 2),
            (slot_at(1, SLOT) + LAST_NS, 400_000),
            (slot_at(0, SLOT) + LostKind::Read as u32, more),
            (slot_at(0, SLOT) + LAST_NS, last_ns),
        ]);
        LossTable::read(2, |word| words.get(&word).copied().unwrap_or(0))
    }

    fn loss(count: u64, records: LostKind, (from_ns, until_ns): (u64, u64)) -> Loss {
        Loss {
            count,
            records,
            device: Some(DEVICE),
            from_ns,
            until_ns,
        }
    }

    #[test]
    fn each_loss_is_reported_once_with_its_device_and_kind() {
        let mut losses = Losses::default();
        let none = Misses::default();
        let first = losses.since((500_000, 600_000), Some(table(0, 0)), &none);
        assert_eq!(first, [loss(2, LostKind::Signal, (0, 600_000))]);
        assert_eq!(losses.since((700_000, 800_000), None, &none), []);
        let single = losses.since((900_000, 950_000), Some(table(1, 840_000)), &none);
        let around = (840_000 - BLUR_NS, 840_000 + BLUR_NS);
        assert_eq!(single, [loss(1, LostKind::Read, around)]);
        let more = losses.since((990_000, 995_000), Some(table(4, 960_000)), &none);
        assert_eq!(more, [loss(3, LostKind::Read, (900_000, 995_000))]);
    }

    #[test]
    fn a_loss_of_an_unknown_device_is_about_any() {
        let word = slot_at(0, 0) + LostKind::Other as u32;
        let table = LossTable::read(1, |at| u64::from(at == word));
        let losses = Losses::default().since((10, 20), Some(table), &Misses::default());
        assert_eq!((losses[0].device, losses[0].until_ns), (None, 20));
        assert!(losses[0].touches(15, Some(DeviceKey(1))) && losses[0].touches(15, None));
    }

    #[test]
    fn skipped_runs_are_doubts_without_a_count() {
        let mut losses = Losses::default();
        let skipped = |count| {
            let mut skipped = Misses::default();
            let lost = (Loses::Possibly, LostKind::Signal);
            skipped.add(RECURSION, ("program", None), lost, Some(count));
            skipped
        };
        losses.since((5, 6), None, &Misses::default());
        let got = losses.since((10, 20), None, &skipped(3));
        let expected = Loss {
            count: 0,
            records: LostKind::Signal,
            device: None,
            from_ns: 5,
            until_ns: 20,
        };
        assert_eq!(got, [expected]);
        assert_eq!(losses.since((30, 40), None, &skipped(3)), []);
        assert_eq!(losses.since((50, 60), None, &skipped(4)).len(), 1);
    }

    #[test]
    fn a_loss_touches_its_device_within_its_time() {
        let loss = loss(1, LostKind::Read, (10, 20));
        let device = Some(DeviceKey(DEVICE));
        assert!([10, 20].iter().all(|ns| loss.touches(*ns, device)));
        assert!([9, 21].iter().all(|ns| !loss.touches(*ns, device)));
        assert!(!loss.touches(15, Some(DeviceKey(1))));
    }

    #[test]
    fn a_loss_that_goes_on_is_one() {
        let first = loss(1, LostKind::Read, (10, 20));
        assert!(first.continues(&loss(2, LostKind::Read, (20, 40))));
        assert!(!first.continues(&loss(2, LostKind::Read, (21, 40))));
        assert!(!first.continues(&loss(2, LostKind::Signal, (15, 40))));
    }
}
