//! Which process runs which virtual machine.

use std::collections::HashMap;
use std::fmt;

use crate::event::Task;

/// So many are known at a time.
const MOST: usize = 4096;

/// The virtual machines by the process that runs them.
#[derive(Debug, Default)]
pub(super) struct Vms(HashMap<u32, String>);

impl Vms {
    /// As [`super::Sink::owner`] says.
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

    /// The virtual machine that the process `pid` runs, if it is known.
    pub(super) fn of(&self, pid: u32) -> Option<&str> {
        self.0.get(&pid).map(String::as_str)
    }

    /// The task's process, for people.
    pub(super) fn who<'a>(&'a self, task: &'a Task) -> Who<'a> {
        Who {
            task,
            vm: self.of(task.pid),
        }
    }
}

/// A process: its command, its pid, its virtual machine.
pub(super) struct Who<'a> {
    task: &'a Task,
    vm: Option<&'a str>,
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.task.comm, self.task.pid)?;
        self.vm.map_or(Ok(()), |vm| write!(f, ", VM {vm}"))
    }
}
