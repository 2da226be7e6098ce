//! The room for the state of devices. What has none is dropped, as if records about its device had been
//! lost, and counted.
//!
//! Each tracker reports how much it stores, in units of about 256 bytes, and of more where each event may
//! look at all of a table: then its bound also keeps the time of an event short.

use std::collections::{BTreeMap, BTreeSet};

use super::device::Device;
use super::queue::OutputQueue;
use crate::event::{DeviceKey, Lost};

/// So many devices have state. An address of the kernel may be used again, but need not.
pub(super) const DEVICES: usize = 1024;
/// The room of one device: 4 MiB.
const DEVICE: usize = 16_384;
/// The room of all devices: 16 MiB.
const ALL: usize = 4 * DEVICE;

/// The state of devices.
#[derive(Debug, Default)]
pub(super) struct Devices {
    by_key: BTreeMap<DeviceKey, Device>,
    /// Those that a later time may decide something about.
    active: BTreeSet<DeviceKey>,
    /// What each stored when it was last used, if anything.
    rooms: BTreeMap<DeviceKey, usize>,
    /// The sum of these.
    room: usize,
    /// Counts events.
    clock: u64,
}

impl Devices {
    /// The state of a device. A new one takes the room of the one that was closed, or not used, for the
    /// longest time.
    pub(super) fn of(&mut self, queue: &mut OutputQueue, now: u64, key: DeviceKey) -> &mut Device {
        if self.by_key.len() >= DEVICES && !self.by_key.contains_key(&key) {
            self.leave_room(queue, now);
        }
        self.clock += 1;
        self.active.insert(key);
        let device = self.by_key.entry(key).or_default();
        device.used = self.clock;
        device
    }

    pub(super) fn get(&self, key: DeviceKey) -> Option<&Device> {
        self.by_key.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: DeviceKey) -> Option<&mut Device> {
        self.by_key.get_mut(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&DeviceKey, &Device)> {
        self.by_key.iter()
    }

    /// All of them, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&DeviceKey, &mut Device)> {
        self.active.extend(self.by_key.keys());
        self.by_key.iter_mut()
    }

    /// Decides what has settled by `now`.
    pub(super) fn settle(&mut self, queue: &mut OutputQueue, now: u64) {
        let by_key = &mut self.by_key;
        self.active.retain(|key| {
            let Some(device) = by_key.get_mut(key) else {
                return false;
            };
            device.settle(queue, now);
            !device.is_quiet()
        });
    }

    /// Records were lost before `now`.
    pub(super) fn lose(&mut self, queue: &mut OutputQueue, now: u64, lost: &Lost) {
        let about: Vec<DeviceKey> = match lost.device {
            Some(key) => self
                .by_key
                .contains_key(&key)
                .then_some(key)
                .into_iter()
                .collect(),
            None => self.by_key.keys().copied().collect(),
        };
        for key in about {
            self.active.insert(key);
            if let Some(device) = self.by_key.get_mut(&key) {
                device.lose(queue, now, lost.records);
            }
            self.grown(queue, now, key);
        }
    }

    /// A process runs another virtual machine than before.
    pub(super) fn owner_changed(&mut self, pid: u32) {
        for device in self.by_key.values_mut() {
            device.owner_changed(pid);
        }
    }

    /// A device may store more than before.
    pub(super) fn grown(&mut self, queue: &mut OutputQueue, now: u64, key: DeviceKey) {
        let room = self.by_key.get(&key).map_or(0, Device::room);
        self.set_room(key, room);
        if room > DEVICE {
            self.shed(queue, now, key);
        }
        while self.room > ALL
            && let Some((largest, _)) = self.rooms.iter().max_by_key(|(_, room)| **room)
        {
            self.shed(queue, now, *largest);
        }
    }

    fn set_room(&mut self, key: DeviceKey, room: usize) {
        let before = match room {
            0 => self.rooms.remove(&key),
            room => self.rooms.insert(key, room),
        };
        self.room = self.room + room - before.unwrap_or(0);
    }

    /// Drops what is stored about a device, but for its name.
    fn shed(&mut self, queue: &mut OutputQueue, now: u64, key: DeviceKey) {
        if let Some(device) = self.by_key.get_mut(&key) {
            device.shed(queue, now);
            queue.stats_mut().shed();
        }
        self.set_room(key, 0);
    }

    /// Removes the devices that were closed; without any, an eighth of them, those that were not used for
    /// the longest time: looking for them takes time.
    fn leave_room(&mut self, queue: &mut OutputQueue, now: u64) {
        let closed = |device: &Device| device.is_closed();
        let mut gone: Vec<(u64, DeviceKey)> = Vec::new();
        gone.extend(
            self.by_key
                .iter()
                .filter(|(_, device)| closed(device))
                .map(|(key, _)| (0, *key)),
        );
        if gone.is_empty() {
            gone.extend(self.by_key.iter().map(|(key, device)| (device.used, *key)));
            gone.sort_unstable();
            gone.truncate(DEVICES / 8);
            for (_, key) in &gone {
                self.shed(queue, now, *key);
            }
        }
        for (_, key) in gone {
            self.by_key.remove(&key);
            self.active.remove(&key);
            self.set_room(key, 0);
        }
    }

    /// The trace ends.
    pub(super) fn finish(&mut self, queue: &mut OutputQueue, now: u64) {
        for device in self.by_key.values_mut() {
            device.finish(queue, now);
        }
        *self = Self::default();
    }
}
