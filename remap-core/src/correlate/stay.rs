//! A device's stay in a migration state, and what user space did meanwhile.

use super::activity::{Moved, Tally};
use super::device::{Device, Known};
use super::report::Desk;
use crate::event::{DeviceState, Event, Task};
use crate::model::{Precopy, StateInterval};

/// A stay that is not over.
#[derive(Clone, Debug)]
pub(super) struct OpenStay {
    pub(super) state: DeviceState,
    pub(super) since_ns: u64,
    entered: bool,
    data_fd: Option<i32>,
    pub(super) tally: Tally,
    pub(super) precopy: Option<Precopy>,
    task: Task,
}

impl OpenStay {
    fn finish(self, device: &str, until_ns: u64, left: bool) -> StateInterval {
        StateInterval {
            device: device.to_owned(),
            state: self.state,
            since_ns: self.since_ns,
            until_ns: until_ns.max(self.since_ns),
            entered: self.entered,
            left,
            data_fd: self.data_fd,
            activity: self.tally.activity(),
            precopy: self.precopy,
            task: self.task,
        }
    }

    /// Whether its data was read, and not to its end.
    pub(super) fn unfinished(&self) -> Option<u64> {
        let data = self.tally.activity().data;
        (data.reads > 0 && data.ends == 0).then_some(data.read_bytes)
    }
}

impl Device {
    /// The device is in `state` since `since_ns`: it entered it then, or was found in it.
    pub(super) fn begin_stay(
        &mut self,
        (state, since_ns): (DeviceState, u64),
        entered: bool,
        data_fd: Option<i32>,
        task: &Task,
    ) {
        self.legacy = Some(matches!(state, DeviceState::Legacy(_)));
        self.stay = Some(OpenStay {
            state,
            since_ns,
            entered,
            data_fd,
            tally: Tally::default(),
            precopy: None,
            task: task.clone(),
        });
    }

    /// Its stay is over: it left the state, or the state is not known any more.
    pub(super) fn end_stay(&mut self, desk: &mut Desk, until_ns: u64, left: bool) {
        if let Some(stay) = self.stay.take() {
            desk.stay(stay.finish(&self.name, until_ns, left));
        }
    }

    /// The state is not known any more.
    pub(super) fn forget_state(&mut self, desk: &mut Desk, now: u64) {
        self.end_stay(desk, now, false);
        self.state = Known::Unknown;
    }

    /// What happens while no state change runs: it belongs to the stay.
    pub(super) fn tally(&mut self, note: impl FnOnce(&mut Tally)) {
        match &mut self.stay {
            Some(stay) => note(&mut stay.tally),
            None => note(&mut self.unknown),
        }
    }

    /// A read or a write of migration data returned.
    pub(super) fn data(&mut self, event: &Event, begin_ns: u64, write: bool, result: Moved) {
        let now = event.time_ns;
        match self.changes.last_mut() {
            Some(change) => {
                let begin_ns = begin_ns.max(change.begin_ns);
                change.inside.moved(begin_ns, now, write, result);
            }
            None => self.tally(|tally| tally.moved(begin_ns, now, write, result)),
        }
    }

    /// `VFIO_MIG_GET_PRECOPY_INFO` answered.
    pub(super) fn precopy_info(&mut self, now: u64, (initial_bytes, dirty_bytes): (u64, u64)) {
        if let Some(stay) = &mut self.stay {
            stay.precopy = Some(Precopy {
                count: stay.precopy.map_or(0, |precopy| precopy.count) + 1,
                initial_bytes,
                dirty_bytes,
                last_ns: now,
            });
        }
    }
}
