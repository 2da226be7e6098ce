//! The room of the sums: a trace on any host, for any time, stays within its memory. What has no room
//! is merged or left out, and counted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeviceStats, IrqStats, RegionStats, Stats, User, VectorStats};
use crate::event::Task;
use crate::model::{IrqName, Rule};

/// So many devices have sums of their own.
pub const DEVICES: usize = 1024;
/// So many IRQ indexes of one device.
const INDEXES: usize = 64;
/// So many vectors of all devices.
pub const VECTORS: usize = 16_384;
/// So many states, and kinds of state changes, of one device.
const ROWS: usize = 64;
/// So many regions of one device.
const DEVICE_REGIONS: usize = 128;
/// So many regions of all devices.
const REGIONS: usize = 8192;
/// So many users of one device are listed.
const USERS: usize = 64;

/// The row of the devices that have none of their own.
pub const OTHERS: &str = "other devices";

/// What the sums had no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evicted {
    /// Devices whose opens, closes, state changes and findings were added to `other devices`; the rest
    /// of their sums is left out. Those that were used last keep their own.
    pub devices: u64,
    /// Users of devices that are not listed.
    pub users: u64,
    /// Signals, reads and calls of IRQ indexes and vectors that are not listed.
    pub interrupts: u64,
    /// How often the tables of a device (calls, mappings, cycles, …) had no room: they were emptied, as if
    /// records about the device had been lost.
    pub tables: u64,
    /// Cycles, mappings, faults, state changes and the like of regions and states that are not listed.
    pub rows: u64,
}

/// What is not written of the sums.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    evicted: Evicted,
    /// Counts the uses of the sums of devices.
    clock: u64,
    /// The vectors of all devices.
    vectors: usize,
    /// The regions of all devices.
    regions: usize,
    /// The sums of what has no room.
    beyond: Option<Box<IrqStats>>,
    beyond_regions: Box<RegionStats>,
}

impl Room {
    fn beyond(&mut self, name: IrqName) -> &mut IrqStats {
        self.beyond
            .get_or_insert_with(|| Box::new(IrqStats::new(name)))
    }
}

impl Stats {
    /// What the sums had no room for.
    pub fn evicted(&self) -> Evicted {
        self.room.evicted
    }

    /// The tables of a device were emptied.
    pub(crate) fn shed(&mut self) {
        self.room.evicted.tables += 1;
    }

    /// The sums of a device.
    pub(crate) fn device(&mut self, name: &str) -> &mut DeviceStats {
        if self.devices.len() >= DEVICES && !self.devices.contains_key(name) {
            self.evict();
        }
        self.room.clock += 1;
        let device = self.devices.entry(name.to_owned()).or_default();
        device.used = self.room.clock;
        device
    }

    /// The sums of a region of a device; `None` if there is no room.
    fn listed_region(&mut self, device: &str, region: u32) -> Option<&mut RegionStats> {
        let regions = &self.device(device).regions;
        if !regions.contains_key(&region) {
            if regions.len() >= DEVICE_REGIONS || self.room.regions >= REGIONS {
                self.room.evicted.rows += 1;
                return None;
            }
            self.room.regions += 1;
        }
        let regions = &mut self.device(device).regions;
        Some(regions.entry(region).or_default())
    }

    /// The sums of a region of a device.
    pub(crate) fn region(&mut self, device: &str, region: u32) -> &mut RegionStats {
        if self.listed_region(device, region).is_none() {
            return &mut self.room.beyond_regions;
        }
        self.device(device).regions.entry(region).or_default()
    }

    /// The findings about a region of a device, or about none.
    pub(crate) fn findings_of(
        &mut self,
        device: &str,
        region: Option<u32>,
    ) -> &mut BTreeMap<Rule, u64> {
        match region {
            Some(region) if self.listed_region(device, region).is_some() => {
                &mut self
                    .device(device)
                    .regions
                    .entry(region)
                    .or_default()
                    .findings
            }
            _ => &mut self.device(device).findings,
        }
    }

    /// Whether there is a row for a key of a table, or room for it.
    pub(crate) fn has_row<K: Ord, V>(
        &mut self,
        device: &str,
        key: &K,
        of: impl Fn(&DeviceStats) -> &BTreeMap<K, V>,
    ) -> bool {
        let rows = of(self.device(device));
        let room = rows.len() < ROWS || rows.contains_key(key);
        self.room.evicted.rows += u64::from(!room);
        room
    }

    /// The sums of an IRQ index of a device.
    pub(crate) fn irq(&mut self, device: &str, index: u32, name: IrqName) -> &mut IrqStats {
        let irqs = &self.device(device).irqs;
        if irqs.len() >= INDEXES && !irqs.contains_key(&index) {
            self.room.evicted.interrupts += 1;
            return self.room.beyond(name);
        }
        let irqs = &mut self.device(device).irqs;
        let irq = irqs.entry(index).or_insert_with(|| IrqStats::new(name));
        irq.name = name;
        irq
    }

    /// The sums of a sub-index of an IRQ index of a device.
    pub(crate) fn vector(
        &mut self,
        device: &str,
        (index, sub): (u32, u32),
        name: IrqName,
    ) -> &mut VectorStats {
        let irqs = &self.device(device).irqs;
        let irq = irqs.get(&index);
        let room = irq.is_some() || irqs.len() < INDEXES;
        if !irq.is_some_and(|irq| irq.vectors.contains_key(&sub)) {
            if !room || self.room.vectors >= VECTORS {
                self.room.evicted.interrupts += 1;
                return self.room.beyond(name).vectors.entry(0).or_default();
            }
            self.room.vectors += 1;
        }
        self.irq(device, index, name)
            .vectors
            .entry(sub)
            .or_default()
    }

    /// A process uses a device that was opened since it used it last.
    pub(crate) fn user(&mut self, device: &str, task: &Task, vm: Option<&str>) {
        let users = &mut self.device(device).users;
        let last = users.iter_mut().rfind(|user| user.pid == task.pid);
        // Threads have names of their own: they are compared only when the device was opened anew, or
        // the virtual machine is another one.
        let same = |user: &&mut User| {
            let machine = user.vm.is_none() || user.vm.as_deref() == vm;
            !user.ended && user.comm == task.comm && machine
        };
        if let Some(user) = last.filter(same) {
            user.vm = vm.map(str::to_owned);
        } else if users.len() < USERS {
            users.push(User {
                pid: task.pid,
                comm: task.comm.clone(),
                vm: vm.map(str::to_owned),
                ended: false,
            });
        } else {
            self.room.evicted.users += 1;
        }
    }

    /// Merges the sums of the device that was not used for the longest time into [`OTHERS`].
    fn evict(&mut self) {
        let named = self.devices.iter().filter(|(name, _)| *name != OTHERS);
        let oldest = named.min_by_key(|(_, device)| device.used);
        let Some(name) = oldest.map(|(name, _)| name.clone()) else {
            return;
        };
        let Some(device) = self.devices.remove(&name) else {
            return;
        };
        let vectors = device.irqs.values().map(|irq| irq.vectors.len());
        self.room.vectors = self.room.vectors.saturating_sub(vectors.sum());
        self.room.regions = self.room.regions.saturating_sub(device.regions.len());
        self.room.evicted.devices += 1;
        self.devices
            .entry(OTHERS.to_owned())
            .or_default()
            .merge(device);
    }
}

impl DeviceStats {
    /// Adds what is counted of a device that has no room.
    fn merge(&mut self, other: Self) {
        self.opens += other.opens;
        self.closes += other.closes;
        self.deaths += other.deaths;
        self.transitions += other.transitions;
        let of_regions = other.regions.into_values().map(|region| region.findings);
        for (rule, count) in of_regions.chain([other.findings]).flatten() {
            *self.findings.entry(rule).or_default() += count;
        }
        for (rule, example) in other.examples {
            self.examples.entry(rule).or_insert(example);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_that_was_used_last_keeps_its_sums() {
        let mut stats = Stats::default();
        stats.device("first").opens = 1;
        let rule = Rule::ALL[0];
        for (place, findings) in [("first", 2), ("second", 3)] {
            stats.device(place).findings.insert(rule, findings);
        }
        stats.device("first");
        (0..DEVICES).for_each(|n| stats.device(&n.to_string()).opens += 1);
        // One row more for the others.
        assert_eq!(stats.devices.len(), DEVICES + 1);
        assert_eq!(stats.evicted().devices, 2);
        let opens: u64 = stats.devices.values().map(|device| device.opens).sum();
        assert_eq!(opens, DEVICES as u64 + 1, "nothing counted is lost");
        assert_eq!(stats.findings()[&rule], 5);
        assert!(!stats.devices.contains_key("first"));
        assert!(stats.devices.contains_key(&(DEVICES - 1).to_string()));
    }

    #[test]
    fn indexes_and_vectors_beyond_the_room_are_counted() {
        let mut stats = Stats::default();
        for index in 0..INDEXES as u32 + 2 {
            stats.irq("one", index, IrqName::Other);
        }
        assert_eq!(stats.devices["one"].irqs.len(), INDEXES);
        assert_eq!(stats.evicted().interrupts, 2);
        stats.vector("one", (u32::MAX, 0), IrqName::Other).signals += 1;
        assert_eq!(stats.evicted().interrupts, 3);
        for sub in 0..VECTORS as u32 + 5 {
            stats.vector("two", (2, sub), IrqName::Other).signals += 1;
            stats.vector("two", (2, 0), IrqName::Other).signals += 1;
        }
        assert_eq!(stats.devices["two"].irqs[&2].vectors.len(), VECTORS);
        assert_eq!(stats.evicted().interrupts, 3 + 5);
    }

    #[test]
    fn regions_beyond_the_room_are_counted_and_their_findings_kept() {
        let mut stats = Stats::default();
        let rule = Rule::ALL[0];
        for region in 0..DEVICE_REGIONS as u32 + 3 {
            stats.region("one", region).mapping.maps += 1;
            *stats
                .findings_of("one", Some(region))
                .entry(rule)
                .or_default() += 1;
        }
        assert_eq!(stats.devices["one"].regions.len(), DEVICE_REGIONS);
        assert_eq!(stats.evicted().rows, 2 * 3);
        assert_eq!(stats.findings()[&rule], DEVICE_REGIONS as u64 + 3);
        for device in 0..REGIONS / DEVICE_REGIONS {
            (0..DEVICE_REGIONS as u32)
                .for_each(|region| stats.region(&device.to_string(), region).mapping.maps += 1);
        }
        let listed: usize = stats
            .devices
            .values()
            .map(|device| device.regions.len())
            .sum();
        assert_eq!(listed, REGIONS);
        assert!(stats.has_row("one", &0, |device| &device.regions));
        assert!(!stats.has_row("one", &u32::MAX, |device| &device.regions));
    }

    #[test]
    fn an_evicted_device_leaves_room_for_vectors() {
        let mut stats = Stats::default();
        for sub in 0..VECTORS as u32 {
            stats.vector("old", (2, sub), IrqName::Other).signals += 1;
        }
        (0..DEVICES).for_each(|n| drop(stats.device(&n.to_string()).driver.take()));
        stats.vector("new", (2, 0), IrqName::Other).signals += 1;
        assert_eq!(stats.evicted().interrupts, 0);
    }

    #[test]
    fn users_beyond_the_room_are_counted() {
        let mut stats = Stats::default();
        let mut used = |pid| {
            let comm = "vmm".to_owned();
            let task = Task {
                pid,
                tid: pid,
                comm,
            };
            stats.user("one", &task, None);
        };
        (0..USERS as u32 + 2).for_each(&mut used);
        used(0);
        assert_eq!(stats.devices["one"].users.len(), USERS);
        assert_eq!(stats.evicted().users, 2);
    }
}
