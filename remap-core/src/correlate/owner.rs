//! Who opens, uses and closes a device.

use super::device::{Device, Known};
use super::report::Desk;
use crate::event::{DeviceState, Event, Node};
use crate::model::{Closed, Opened, Outcome, ZapEnd};

impl Device {
    /// A process uses the device.
    pub(super) fn used(&mut self, desk: &mut Desk, event: &Event, vm: Option<&str>) {
        if self.users.insert(event.task.pid) {
            desk.stats.user(&self.name, &event.task, vm);
        }
    }

    /// A file of the device was made.
    pub(super) fn opened(&mut self, desk: &mut Desk, event: &Event, node: Node, fd: Option<i32>) {
        // A device that was closed begins anew.
        if let (Known::Running, None, Some(state)) = (self.state, &self.stay, self.known_state()) {
            self.begin_stay((state, event.time_ns), true, None, &event.task);
        }
        desk.opened(Opened {
            device: self.name.clone(),
            time_ns: event.time_ns,
            node,
            fd,
            task: event.task.clone(),
        });
    }

    /// The device file was closed for the last time: nothing that was learned holds.
    pub(super) fn close(&mut self, desk: &mut Desk, event: &Event, dying: Option<bool>) {
        let now = event.time_ns;
        let (state, text) = (self.known_state(), self.epitaph(event, dying));
        let reason = match dying {
            Some(true) => "the process that used the device ended",
            _ => "the device was closed",
        };
        self.end(desk, now, Outcome::Aborted, reason);
        self.end_early(desk, now);
        self.tell_data_left(desk);
        self.end_episodes(desk, now, ZapEnd::Closed, |_| true);
        self.end_stay(desk, now, true);
        self.settle_account(desk);
        desk.closed(Closed {
            device: self.name.clone(),
            time_ns: now,
            dying,
            state,
            text,
            task: event.task.clone(),
        });
        *self = Self {
            name: std::mem::take(&mut self.name),
            driver: self.driver.take(),
            flags: self.flags,
            legacy: self.legacy,
            state: Known::Running,
            ..Self::default()
        };
    }

    /// The migration state, as far as it is known.
    fn known_state(&self) -> Option<DeviceState> {
        self.legacy.and_then(|legacy| self.state.get(legacy))
    }

    /// In what the device was closed: one sentence.
    fn epitaph(&self, event: &Event, dying: Option<bool>) -> String {
        let task = &event.task;
        let who = match dying {
            Some(true) => format!("{} {} ended", task.comm, task.pid),
            _ => format!("closed by {} {}", task.comm, task.pid),
        };
        let state = self.known_state();
        let place = match state {
            Some(state) => format!(" in {state}"),
            None => String::new(),
        };
        let mut sentence = format!("{who}{place}");
        if let Some(change) = self.changes.last() {
            match change.to {
                Some(to) => sentence += &format!(", inside of the change to {to}"),
                None => sentence += ", inside of a state change",
            }
        }
        let mut regions: Vec<u32> = self
            .cycles
            .iter()
            .filter(|cycle| !cycle.acked())
            .map(|cycle| cycle.region)
            .collect();
        regions.sort_unstable();
        regions.dedup();
        if let Some(first) = regions.first() {
            sentence += &format!(", with the trigger of region {first} unanswered");
            if regions.len() > 1 {
                sentence += &format!(" and {} more", regions.len() - 1);
            }
        }
        let lost = match state {
            Some(DeviceState::Resuming) => ": what was loaded is lost",
            Some(
                DeviceState::PreCopy
                | DeviceState::PreCopyP2p
                | DeviceState::StopCopy
                | DeviceState::Stop,
            ) => ": the migration is over, and the device's state with it",
            Some(DeviceState::Error) => ": the next open resets it",
            _ => "",
        };
        sentence + lost
    }
}
