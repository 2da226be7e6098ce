//! The time in one migration state, while it lasts.

use crate::correlate::moment::Moment;
use crate::correlate::span::Tally;
use crate::event::{DeviceState, Task};
use crate::model::{Precopy, StateInterval};

/// Why an interval ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntervalEnd {
    /// The device left the state.
    Left,
    /// The state is not known any more, or the trace ended.
    Unknown,
}

/// The time in the current migration state.
#[derive(Clone, Debug)]
pub(super) struct OpenInterval {
    pub(super) state: DeviceState,
    pub(super) since_ns: u64,
    /// Whether the device entered the state then; else it was found in it.
    entered: bool,
    data_fd: Option<i32>,
    pub(super) tally: Tally,
    precopy: Option<Precopy>,
    task: Task,
}

impl OpenInterval {
    /// The device entered `state` at that moment; `data_fd`: what the change into it made.
    pub(super) fn entered(state: DeviceState, at: Moment<'_>, data_fd: Option<i32>) -> Self {
        Self {
            entered: true,
            data_fd,
            ..Self::found(state, at)
        }
    }

    /// The device is in `state` at that moment, and may have been for longer.
    pub(super) fn found(state: DeviceState, at: Moment<'_>) -> Self {
        Self {
            state,
            since_ns: at.ns,
            entered: false,
            data_fd: None,
            tally: Tally::default(),
            precopy: None,
            task: at.task.clone(),
        }
    }

    /// `VFIO_MIG_GET_PRECOPY_INFO` answered.
    pub(super) fn precopy_info(&mut self, now: u64, initial_bytes: u64, dirty_bytes: u64) {
        self.precopy = Some(Precopy {
            count: self.precopy.map_or(0, |precopy| precopy.count) + 1,
            initial_bytes,
            dirty_bytes,
            last_ns: now,
        });
    }

    /// How many bytes of data were read, if they were not read to the end.
    pub(super) fn unfinished(&self) -> Option<u64> {
        let data = self.tally.data_stats();
        (data.reads > 0 && data.ends == 0 && !self.tally.is_partial()).then_some(data.read_bytes)
    }

    pub(super) fn finish(self, device: String, until_ns: u64, end: IntervalEnd) -> StateInterval {
        let until_ns = until_ns.max(self.since_ns);
        StateInterval {
            device,
            state: self.state,
            since_ns: self.since_ns,
            until_ns,
            entered: self.entered,
            left: end == IntervalEnd::Left,
            data_fd: self.data_fd,
            activity: self.tally.activity_within(self.since_ns, until_ns),
            precopy: self.precopy,
            task: self.task,
        }
    }
}
