//! The names of a trace: of the devices that are open, and of the virtual machines.

use std::collections::HashMap;
use std::hash::Hash;

use crate::event::{Body, DeviceKey, Event};

/// So many devices, and so many processes, are known at a time. More than those of which the owners
/// are known: a process that does something is named again before its name is forgotten here.
const MOST: usize = 4096;

/// The devices that are open, and the virtual machine of each process that runs one.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The event that made each device known.
    devices: HashMap<DeviceKey, Event>,
    /// With the time at which each was named.
    vms: HashMap<u32, (u64, String)>,
}

impl Registry {
    /// An event, before anything is asked about it.
    pub(super) fn record(&mut self, event: &Event) {
        match &event.body {
            Body::Device(seen) => {
                insert(&mut self.devices, seen.device, event.clone(), |event| {
                    event.time_ns
                });
            }
            Body::Owner { pid, vm: Some(vm) } => {
                let named = (event.time_ns, vm.clone());
                insert(&mut self.vms, *pid, named, |(time_ns, _)| *time_ns);
            }
            Body::Owner { pid, vm: None } => drop(self.vms.remove(pid)),
            _ => {}
        }
    }

    /// A device was closed: its address may be that of another device next time.
    pub(super) fn close(&mut self, device: DeviceKey) {
        self.devices.remove(&device);
    }

    /// The event that made a device known, as long as it is open.
    pub(super) fn opening(&self, device: DeviceKey) -> Option<&Event> {
        self.devices.get(&device)
    }

    /// The name of a device that is open.
    pub(super) fn device(&self, device: DeviceKey) -> Option<&str> {
        match &self.devices.get(&device)?.body {
            Body::Device(seen) => Some(&seen.name),
            _ => None,
        }
    }

    /// The virtual machine that a process runs.
    pub(super) fn vm(&self, pid: u32) -> Option<&str> {
        self.vms.get(&pid).map(|(_, vm)| vm.as_str())
    }
}

/// Inserts an entry, in place of the oldest ones where there are too many: of an eighth, because looking
/// for them takes time.
fn insert<K: Copy + Eq + Hash, V>(
    entries: &mut HashMap<K, V>,
    key: K,
    value: V,
    time_ns: impl Fn(&V) -> u64,
) {
    if entries.len() >= MOST && !entries.contains_key(&key) {
        let mut ages: Vec<u64> = entries.values().map(&time_ns).collect();
        let (_, age, _) = ages.select_nth_unstable(MOST / 8 - 1);
        let (age, mut left) = (*age, MOST / 8);
        entries.retain(|_, value| {
            let goes = time_ns(value) <= age && left > 0;
            left -= usize::from(goes);
            !goes
        });
    }
    entries.insert(key, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut entries = HashMap::new();
        for key in 0..MOST as u64 {
            insert(&mut entries, key, key + 1, |value| *value);
        }
        insert(&mut entries, 0, 9_999, |value| *value);
        assert_eq!(entries.len(), MOST, "it was there already");
        insert(&mut entries, 9_999, 10_000, |value| *value);
        let gone = MOST as u64 / 8;
        assert_eq!(entries.len() as u64, MOST as u64 - gone + 1);
        assert!(entries.contains_key(&0) && !entries.contains_key(&1));
        assert!(!entries.contains_key(&gone) && entries.contains_key(&(gone + 1)));
    }
}
