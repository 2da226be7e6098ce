//! Which state changes of a device belong to one migration.

use std::collections::BTreeMap;

use super::id::Kind;
use crate::{event::DeviceState, model::TransitionRef};

/// Of so many devices the migration is known.
const DEVICES: usize = 1024;

/// A migration, or the last one of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    number: u64,
    /// The state changes of it, by their numbers.
    first: u64,
    last: u64,
    pub begin_ns: u64,
    pub end_ns: u64,
    /// Whether it goes on.
    pub open: bool,
}

impl Migration {
    /// Its span.
    pub fn kind(&self) -> Kind {
        Kind::Migration(self.number)
    }
}

/// The migrations of all devices.
#[derive(Debug, Default)]
pub struct Migrations {
    devices: BTreeMap<String, Migration>,
    count: u64,
}

/// Whether a device that is in this state runs as usual.
fn runs(state: DeviceState) -> bool {
    matches!(state, DeviceState::Running | DeviceState::Legacy(1))
}

impl Migrations {
    /// The migration that a state change belongs to. Returns one that had to end because there are too
    /// many.
    pub fn of(
        &mut self,
        device: &str,
        change: &TransitionRef,
    ) -> (Migration, Option<(String, Migration)>) {
        if let Some(known) = self.devices.get_mut(device) {
            if known.open && change.id >= known.first {
                known.last = known.last.max(change.id);
                return (*known, None);
            }
            if (known.first..=known.last).contains(&change.id) {
                return (*known, None);
            }
        }
        let full = self.devices.len() >= DEVICES && !self.devices.contains_key(device);
        let removed = full.then(|| self.devices.pop_first()).flatten();
        let removed = removed.filter(|(_, migration)| migration.open);
        self.count += 1;
        let begun = Migration {
            number: self.count,
            first: change.id,
            last: change.id,
            begin_ns: change.begin_ns,
            end_ns: change.begin_ns,
            open: true,
        };
        self.devices.insert(device.to_owned(), begun);
        (begun, removed)
    }

    /// The migration of a device that goes on.
    pub fn open(&self, device: &str) -> Option<Migration> {
        let known = self.devices.get(device).copied();
        known.filter(|migration| migration.open)
    }

    /// A state change has ended. Returns the migration if that ends with it.
    pub fn changed(
        &mut self,
        device: &str,
        to: Option<DeviceState>,
        (end_ns, ok): (u64, bool),
    ) -> Option<Migration> {
        let known = self.devices.get_mut(device).filter(|known| known.open)?;
        known.end_ns = known.end_ns.max(end_ns);
        known.open = !(ok && to.is_some_and(runs));
        (!known.open).then_some(*known)
    }

    /// A device was closed. Returns the migration that ends with it.
    pub fn closed(&mut self, device: &str, time_ns: u64) -> Option<Migration> {
        let mut known = self.devices.remove(device).filter(|known| known.open)?;
        known.end_ns = known.end_ns.max(time_ns);
        Some(known)
    }

    /// Those that go on when the trace ends.
    pub fn rest(&mut self) -> impl Iterator<Item = (String, Migration)> + use<> {
        let devices = std::mem::take(&mut self.devices);
        devices.into_iter().filter(|(_, migration)| migration.open)
    }
}
