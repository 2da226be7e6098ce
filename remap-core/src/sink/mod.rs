//! Where outputs go: text for people, JSON Lines for programs.
//!
//! A sink uses no clock and no file: it writes to the writer that it gets, and returns errors of
//! that (a broken pipe) back to its caller.

pub mod json;
mod keys;
pub mod line;
pub mod observe;
pub mod select;
pub(crate) mod sentence;
pub mod table;
pub mod text;
mod vmm;
mod vms;
mod words;

#[cfg(test)]
mod tests;

use std::io;

use crate::account::Account;
use crate::event::Event;
use crate::model::{Blind, Output, Summary};
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};

/// Takes what a trace has to say.
pub trait Sink {
    /// A cycle, a transition, a finding or a stage.
    ///
    /// # Errors
    /// What the writer returns.
    fn output(&mut self, output: &Output) -> io::Result<()>;

    /// A single event, of a device with the name `device`.
    ///
    /// # Errors
    /// What the writer returns.
    fn event(&mut self, event: &Event, device: &str) -> io::Result<()>;

    /// A checkpoint of a migration, from a VMM's log.
    ///
    /// # Errors
    /// What the writer returns.
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()>;

    /// The time in which a virtual machine ran nowhere.
    ///
    /// # Errors
    /// What the writer returns.
    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()>;

    /// Hooks do not fire, or fire again.
    ///
    /// # Errors
    /// What the writer returns.
    fn blind(&mut self, blind: &Blind) -> io::Result<()>;

    /// From now on the process `pid` runs the virtual machine `vm`; `None`: another program.
    fn owner(&mut self, pid: u32, vm: Option<&str>);

    /// The account so far, of a trace that runs; lines have only the one of the summary.
    fn account(&mut self, _so_far: &dyn Fn() -> Account) {}

    /// The end.
    ///
    /// # Errors
    /// What the writer returns.
    fn summary(&mut self, summary: &Summary) -> io::Result<()>;

    /// Everything so far shall be seen now.
    ///
    /// # Errors
    /// What the writer returns.
    fn flush(&mut self) -> io::Result<()>;
}

impl<S: Sink> Sink for &mut S {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        (**self).output(output)
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        (**self).event(event, device)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        (**self).checkpoint(checkpoint)
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        (**self).downtime(downtime)
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        (**self).blind(blind)
    }

    fn owner(&mut self, pid: u32, vm: Option<&str>) {
        (**self).owner(pid, vm);
    }

    fn account(&mut self, so_far: &dyn Fn() -> Account) {
        (**self).account(so_far);
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        (**self).summary(summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}
