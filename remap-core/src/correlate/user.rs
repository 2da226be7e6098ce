//! The processes that use a device.

use std::collections::BTreeSet;

use super::report::Reporter;
use crate::event::Task;
use crate::model::User;

/// The processes that were seen to use a device since it was opened.
#[derive(Debug, Default)]
pub(super) struct Users {
    pids: BTreeSet<u32>,
}

impl Users {
    /// A process uses the device.
    pub(super) fn used(&mut self, out: &mut Reporter<'_>, task: &Task) {
        if self.pids.insert(task.pid) {
            let users = &mut out.stats().users;
            users.entry(task.pid).or_insert_with(|| User {
                comm: task.comm.clone(),
                vm: None,
            });
        }
    }

    /// The device was closed.
    pub(super) fn close(&mut self) {
        self.pids.clear();
    }
}
