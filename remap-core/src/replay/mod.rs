//! A trace as a recording of everything that went into its pipeline: a [`Capture`] writes it while
//! the trace runs, and [`replay`](Recording::replay) feeds the same steps into another pipeline, on any machine.
//!
//! It is a perf.data file ([`crate::perfdata`]). Records are stored as the programs wrote them, except that
//! each kernel address is replaced by a small number in the order of appearance ([`addresses`]).

mod addresses;
mod capture;
mod feed;
#[cfg(test)]
mod tests;
mod unexamined;

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, Read},
    rc::Rc,
};

use serde::{Deserialize, Serialize};

pub use capture::Capture;
pub use feed::Feed;
pub use unexamined::Nowhere;

use crate::{
    account::{Account, Loss},
    decode::in_flight::{ObservedCall, ObservedReturn},
    model::{Blind, Summary},
    perfdata::{Origin, Part, Place, Reader},
    pipeline::{Filter, Pipeline, VmNames},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, log::LogAccount},
};

/// The version of the format.
pub const VERSION: u32 = 2;

/// Of how many processes the virtual machine is known at once.
const MOST_OWNERS: usize = 16 << 10;

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
    /// Which devices and processes the trace was about; the recording has them all.
    #[serde(default)]
    pub filter: Filter,
    /// Whether it has kernel addresses, and no numbers in their place.
    #[serde(default)]
    pub addresses: bool,
    /// The hooks that were not attached, although the kernel has what they trace.
    #[serde(default)]
    pub missing_hooks: Vec<String>,
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
    owners: Rc<RefCell<HashMap<u32, Option<String>>>>,
}

impl<R: Read> Recording<R> {
    /// Opens a recording.
    ///
    /// # Errors
    /// If it cannot be read, or is none of this version.
    pub fn open(source: R) -> io::Result<Self> {
        let mut reader = Reader::new(source)?;
        let start = match reader.next_part()? {
            Some(Part::Step(json)) => serde_json::from_slice(&json)?,
            Some(Part::Record(_)) => return Err(invalid("it does not begin with a start")),
            None => return Err(invalid(NOTHING)),
        };
        match start {
            Step::Start(start) if start.version == VERSION => Ok(Self {
                reader,
                start,
                owners: Rc::default(),
            }),
            Step::Start(_) => Err(invalid("it is of another version of remap")),
            _ => Err(invalid("it does not begin with a start")),
        }
    }

    /// Where and when it was made.
    pub fn origin(&self) -> &Origin {
        self.reader.origin()
    }

    /// Answers the names of virtual machines as the trace did: for the pipeline of the replay.
    pub fn vm_names(&self) -> VmNames {
        let owners = Rc::clone(&self.owners);
        Box::new(move |pid| owners.borrow().get(&pid).cloned().flatten())
    }

    /// Feeds the whole recording into a pipeline.
    ///
    /// If the recording was cut off, the trace ends there, and how many records it saw is unknown.
    ///
    /// # Errors
    /// If the recording cannot be read or is damaged, and what the sink's writer returns.
    pub fn replay<S: Sink>(self, pipeline: Pipeline<S>) -> io::Result<Replayed> {
        self.replay_with(pipeline, |_| Ok(()))
    }

    /// The same; each input but the start goes to `copy` before it goes into the pipeline.
    ///
    /// # Errors
    /// As there, and what `copy` returns.
    pub fn replay_with<S: Sink>(
        mut self,
        mut pipeline: Pipeline<S>,
        mut copy: impl FnMut(Input<'_>) -> io::Result<()>,
    ) -> io::Result<Replayed> {
        if self.start.logs {
            pipeline = pipeline.with_logs();
        }
        loop {
            let step = match self.reader.next_part()? {
                None => return self.cut(pipeline),
                Some(Part::Record(bytes)) => {
                    copy(Input::Record(bytes))?;
                    pipeline.record(bytes);
                    continue;
                }
                Some(Part::Step(json)) => serde_json::from_slice(&json)?,
            };
            copy(Input::Step(&step))?;
            if let Step::Finish { end_ns, account } = step {
                let summary = pipeline.finish(end_ns, &account)?;
                return Ok(Replayed { summary, cut: None });
            }
            self.step(step, &mut pipeline)?;
        }
    }

    /// The end of a recording that has none.
    fn cut<S: Sink>(&self, pipeline: Pipeline<S>) -> io::Result<Replayed> {
        let taken = pipeline.taken();
        let undecodable = (taken.undecodable > 0).then_some(taken.undecodable);
        let account = Account {
            delivered: taken.delivered,
            lost: undecodable
                .map(|count| ("undecodable".to_owned(), count))
                .into_iter()
                .collect(),
            ..Account::default()
        };
        let end_ns = pipeline.latest_ns().max(self.start.start_ns);
        let summary = pipeline.finish(end_ns, &account)?;
        let cut = Some(self.reader.place());
        Ok(Replayed { summary, cut })
    }

    fn step<S: Sink>(&self, step: Step, pipeline: &mut Pipeline<S>) -> io::Result<()> {
        match step {
            Step::Owner { pid, vm } => {
                let mut owners = self.owners.borrow_mut();
                if owners.len() >= MOST_OWNERS {
                    owners.clear();
                }
                owners.insert(pid, vm);
            }
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

/// An input of a replay.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A record of the ring.
    Record(&'a [u8]),
    /// A step beside them.
    Step(&'a Step),
}

/// What a replay has come to.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The summary of the trace.
    pub summary: Summary,
    /// Where the recording was cut off, if it was.
    pub cut: Option<Place>,
}

/// The reason why a recording has no start.
const NOTHING: &str = "it has no event of remap, or was cut off before the first";

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
