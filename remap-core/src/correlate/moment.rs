//! When something happened, and in which thread.

use crate::event::{Event, Task};
use crate::model::Stamp;

/// When something happened, and in which thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    /// CLOCK_MONOTONIC, ns.
    pub(super) ns: u64,
    pub(super) task: &'a Task,
}

impl<'a> Moment<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        Self {
            ns: event.time_ns,
            task: &event.task,
        }
    }

    pub(super) fn stamp(self) -> Stamp {
        Stamp {
            ns: self.ns,
            task: self.task.clone(),
        }
    }
}
