//! The processes that use a device.

use std::collections::BTreeSet;

use super::report::Reporter;
use crate::event::Task;

/// So many processes are distinguished while a device is open; further ones are not counted.
const MOST: usize = 4096;

/// The processes that were seen to use a device since it was opened.
#[derive(Debug, Default)]
pub(super) struct Users {
    pids: BTreeSet<u32>,
}

impl Users {
    /// A process uses the device.
    pub(super) fn used(&mut self, out: &mut Reporter<'_>, task: &Task) {
        if self.pids.len() < MOST && self.pids.insert(task.pid) {
            out.user(task);
        }
    }

    /// The device was closed.
    pub(super) fn close(&mut self) {
        self.pids.clear();
    }
}
