//! The processes that use a device.

use std::collections::{BTreeMap, BTreeSet};

use super::report::Reporter;
use crate::event::Task;

/// So many processes are distinguished while a device is open; further ones are not counted. So many
/// virtual machines are known at a time.
const MOST: usize = 4096;

/// The virtual machine that each process runs.
#[derive(Debug, Default)]
pub(super) struct Machines(BTreeMap<u32, String>);

impl Machines {
    /// From now on the process `pid` runs the virtual machine `vm`; `None`: another program.
    pub(super) fn learn(&mut self, pid: u32, vm: Option<&str>) {
        match vm {
            Some(vm) => {
                if self.0.len() >= MOST && !self.0.contains_key(&pid) {
                    self.0.clear();
                }
                self.0.insert(pid, vm.to_owned());
            }
            None => drop(self.0.remove(&pid)),
        }
    }

    pub(super) fn of(&self, pid: u32) -> Option<&str> {
        self.0.get(&pid).map(String::as_str)
    }
}

/// The processes that were seen to use a device since it was opened.
#[derive(Debug, Default)]
pub(super) struct Users {
    pids: BTreeSet<u32>,
}

impl Users {
    /// How much is stored ([`super::room`]).
    pub(super) fn room(&self) -> usize {
        self.pids.len() / 4
    }

    /// A process uses the device.
    pub(super) fn used(&mut self, out: &mut Reporter<'_>, task: &Task, vm: Option<&str>) {
        if self.pids.len() < MOST && self.pids.insert(task.pid) {
            out.user(task, vm);
        }
    }

    /// The virtual machine of a process is another one: so may be the process.
    pub(super) fn forget(&mut self, pid: u32) {
        self.pids.remove(&pid);
    }

    /// The device was closed; `ended` is the process that ended with it.
    pub(super) fn close(&mut self, out: &mut Reporter<'_>, ended: Option<u32>) {
        self.pids.clear();
        let users = out.stats().users.iter_mut();
        for user in users.filter(|user| Some(user.pid) == ended) {
            user.ended = true;
        }
    }
}
