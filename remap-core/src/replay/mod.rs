//! A trace as a recording of everything that went into its pipeline: a [`Capture`] writes it while
//! the trace runs, and [`replay`](Recording::replay) feeds the same steps into another pipeline, on any machine.
//!
//! The format is a sequence of frames, each with an 8-byte header in little-endian order:
//!
//! ```text
//! u32 kind      0: a record of the ring    1: a step, in JSON
//! u32 length    of the payload, bytes; at most 1 MiB
//! payload
//! ```
//!
//! Records are stored as the programs wrote them, except that each kernel address is replaced by a
//! small number in the order of appearance ([`addresses`]).

pub mod addresses;
mod capture;
mod frame;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read},
    rc::Rc,
};

use serde::{Deserialize, Serialize};

pub use capture::{Capture, Feed};
use frame::{Frame, Reader};

use crate::{
    account::{Account, Loss},
    decode::in_flight::{ObservedCall, ObservedReturn},
    model::{Blind, Summary},
    pipeline::{Pipeline, VmNames},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, log::LogAccount},
};

/// The version of the format.
pub const VERSION: u32 = 2;

/// What a replay must know before the first step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// [`VERSION`].
    pub version: u32,
    /// When the trace began (CLOCK_MONOTONIC ns).
    pub start_ns: u64,
    /// Whether all consumers of eventfds were traced (`Options::sees_consumers`).
    pub sees_consumers: bool,
    /// Whether logs of VMMs were read.
    pub logs: bool,
}

/// One step of a trace beside its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The first step.
    Start(Start),
    /// The virtual machine of a process, asked for by the next record or call.
    Owner {
        /// The process.
        pid: u32,
        /// Its virtual machine.
        vm: Option<String>,
    },
    /// A call that was in flight when the trace began.
    Call(ObservedCall),
    /// Such a call has returned.
    Return(ObservedReturn),
    /// A point of a migration.
    Checkpoint(Checkpoint),
    /// Records were lost since the last such step.
    Losses {
        /// Each loss.
        losses: Vec<Loss>,
    },
    /// Hooks do not fire, or fire again.
    Blind(Blind),
    /// Everything before this time was taken.
    Advance {
        /// CLOCK_MONOTONIC, ns.
        watermark_ns: u64,
    },
    /// What was read of the logs of VMMs.
    Logs {
        /// Each log.
        accounts: Vec<LogAccount>,
    },
    /// The end of the trace.
    Finish {
        /// CLOCK_MONOTONIC, ns.
        end_ns: u64,
        /// The final account.
        account: Account,
    },
}

/// A recording, open for replay.
pub struct Recording<R> {
    reader: Reader<R>,
    /// What a pipeline for it must know.
    pub start: Start,
    owners: Rc<RefCell<VecDeque<Option<String>>>>,
}

impl<R: Read> Recording<R> {
    /// Opens a recording.
    ///
    /// # Errors
    /// If it cannot be read, or is none of this version.
    pub fn open(source: R) -> io::Result<Self> {
        let mut reader = Reader::new(source);
        match reader.next()? {
            Some(Frame::Step(Step::Start(start))) if start.version == VERSION => Ok(Self {
                reader,
                start,
                owners: Rc::default(),
            }),
            _ => Err(invalid("not a recording of this version")),
        }
    }

    /// Answers the names of virtual machines as the trace did: for the pipeline of the replay.
    pub fn vm_names(&self) -> VmNames {
        let owners = Rc::clone(&self.owners);
        Box::new(move |_| owners.borrow_mut().pop_front().flatten())
    }

    /// Feeds the whole recording into a pipeline.
    ///
    /// # Errors
    /// If the recording cannot be read or is cut off, and what the sink's writer returns.
    pub fn replay<S: Sink>(mut self, mut pipeline: Pipeline<S>) -> io::Result<Summary> {
        if self.start.logs {
            pipeline = pipeline.with_logs();
        }
        loop {
            match self.reader.next()? {
                None => return Err(invalid("a recording without an end")),
                Some(Frame::Record(bytes)) => pipeline.record(bytes),
                Some(Frame::Step(Step::Finish { end_ns, account })) => {
                    return pipeline.finish(end_ns, &account);
                }
                Some(Frame::Step(step)) => self.step(step, &mut pipeline)?,
            }
        }
    }

    fn step<S: Sink>(&self, step: Step, pipeline: &mut Pipeline<S>) -> io::Result<()> {
        match step {
            Step::Owner { vm, .. } => self.owners.borrow_mut().push_back(vm),
            Step::Call(call) => call
                .event()
                .into_iter()
                .for_each(|event| pipeline.observed(event)),
            Step::Return(returned) => pipeline.observed(returned.event()),
            Step::Checkpoint(checkpoint) => pipeline.checkpoint(checkpoint),
            Step::Losses { losses } => pipeline.losses(losses),
            Step::Blind(blind) => return pipeline.blind(blind),
            Step::Advance { watermark_ns } => return pipeline.advance(watermark_ns),
            Step::Logs { accounts } => pipeline.logs(accounts),
            Step::Start(_) | Step::Finish { .. } => return Err(invalid("a second start")),
        }
        Ok(())
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
