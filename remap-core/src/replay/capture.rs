//! The recording side: a pipeline whose every input is written too.

use std::{cell::RefCell, io, rc::Rc};

use zerocopy::IntoBytes as _;

use super::{Start, Step, addresses::Numbers};
use crate::{
    account::{Account, Loss, Taken},
    decode::in_flight::{ObservedCall, ObservedReturn},
    model::{Blind, Summary},
    perfdata::{ClockPair, Machine, Output, Writer},
    pipeline::{Pipeline, VmNames},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, log::LogAccount},
};

/// Writes a recording.
pub struct Capture {
    out: Writer<Box<dyn Output>>,
    numbers: Numbers,
    /// The record with its addresses replaced; words, so that it is aligned.
    record: Vec<u64>,
    /// The answers since the last input.
    owners: Rc<RefCell<Vec<Step>>>,
    /// The first error, until it is returned.
    error: Option<io::Error>,
}

impl Capture {
    /// Begins a recording of a machine. `clocks`: a moment by both of its clocks.
    ///
    /// # Errors
    /// What the writer returns.
    pub fn new(
        out: Box<dyn Output>,
        (machine, clocks): (Machine, ClockPair),
        start: Start,
    ) -> io::Result<Self> {
        let mut out = Writer::new(out, machine, clocks)?;
        out.step(&serde_json::to_string(&Step::Start(start))?)?;
        Ok(Self {
            out,
            numbers: Numbers::default(),
            record: Vec::new(),
            owners: Rc::default(),
            error: None,
        })
    }

    /// Records the answers of `names`, which the pipeline asks.
    pub fn vm_names(&self, mut names: VmNames) -> VmNames {
        let owners = Rc::clone(&self.owners);
        Box::new(move |pid| {
            let vm = names(pid);
            let step = Step::Owner {
                pid,
                vm: vm.clone(),
            };
            owners.borrow_mut().push(step);
            vm
        })
    }

    /// Copies a record, with its addresses replaced.
    fn copy(&mut self, record: &[u8]) {
        self.record.clear();
        self.record.resize(record.len().div_ceil(8), 0);
        let copy = &mut self.record.as_mut_bytes()[..record.len()];
        copy.copy_from_slice(record);
        self.numbers.replace(copy);
    }

    fn write_record(&mut self, length: usize) {
        self.write_owners();
        let written = self.out.sample(&self.record.as_bytes()[..length]);
        self.keep(written);
    }

    fn write(&mut self, step: &Step) {
        self.write_owners();
        let written = self.write_step(step);
        self.keep(written);
    }

    fn write_step(&mut self, step: &Step) -> io::Result<()> {
        self.out.step(&serde_json::to_string(step)?)?;
        match step {
            Step::Losses { losses } => losses.iter().try_for_each(|loss| self.out.lost(loss)),
            Step::Advance { .. } => self.out.round(),
            _ => Ok(()),
        }
    }

    /// Before the input that asked for them.
    fn write_owners(&mut self) {
        for step in self.owners.take() {
            let written = self.write_step(&step);
            self.keep(written);
        }
    }

    fn keep(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    fn checked(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err).map_err(of_recording)
    }
}

/// The error of a recording, distinct from one of the output.
fn of_recording(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("writing the recording: {error}"))
}

/// The input of a live trace: into its pipeline, and into a recording if there is one.
pub struct Feed<S> {
    pipeline: Pipeline<S>,
    capture: Option<Capture>,
}

impl<S: Sink> Feed<S> {
    /// Feeds `pipeline`.
    pub fn new(pipeline: Pipeline<S>, capture: Option<Capture>) -> Self {
        Self { pipeline, capture }
    }

    /// [`Pipeline::with_logs`].
    #[must_use]
    pub fn with_logs(self) -> Self {
        Self {
            pipeline: self.pipeline.with_logs(),
            ..self
        }
    }

    /// [`Pipeline::record`].
    pub fn record(&mut self, bytes: &[u8]) {
        let Some(capture) = &mut self.capture else {
            return self.pipeline.record(bytes);
        };
        // The pipeline of a replay gets the same bytes.
        capture.copy(bytes);
        self.pipeline
            .record(&capture.record.as_bytes()[..bytes.len()]);
        capture.write_record(bytes.len());
    }

    /// A call that was in flight when the trace began.
    pub fn call(&mut self, mut call: ObservedCall) {
        if let Some(capture) = &mut self.capture {
            call.device = capture.numbers.of(call.device);
        }
        if let Some(event) = call.event() {
            self.pipeline.observed(event);
        }
        self.write(|| Step::Call(call));
    }

    /// Such a call has returned.
    pub fn returned(&mut self, mut returned: ObservedReturn) {
        if let Some(capture) = &mut self.capture {
            returned.device = capture.numbers.of(returned.device);
        }
        self.pipeline.observed(returned.event());
        self.write(|| Step::Return(returned));
    }

    /// [`Pipeline::checkpoint`].
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.write(|| Step::Checkpoint(checkpoint.clone()));
        self.pipeline.checkpoint(checkpoint);
    }

    /// [`Pipeline::losses`].
    pub fn losses(&mut self, mut losses: Vec<Loss>) {
        if losses.is_empty() {
            return;
        }
        if let Some(capture) = &mut self.capture {
            for device in losses.iter_mut().filter_map(|loss| loss.device.as_mut()) {
                *device = capture.numbers.of(*device);
            }
        }
        self.write(|| Step::Losses {
            losses: losses.clone(),
        });
        self.pipeline.losses(losses);
    }

    /// [`Pipeline::latest_ns`].
    pub fn latest_ns(&self) -> u64 {
        self.pipeline.latest_ns()
    }

    /// [`Pipeline::is_full`].
    pub fn is_full(&self) -> bool {
        self.pipeline.is_full()
    }

    /// [`Pipeline::blind`].
    ///
    /// # Errors
    /// As there.
    pub fn blind(&mut self, blind: Blind) -> io::Result<()> {
        self.write(|| Step::Blind(blind.clone()));
        self.pipeline.blind(blind)
    }

    /// [`Pipeline::logs`].
    pub fn logs(&mut self, accounts: Vec<LogAccount>) {
        self.write(|| Step::Logs {
            accounts: accounts.clone(),
        });
        self.pipeline.logs(accounts);
    }

    /// [`Pipeline::taken`].
    pub fn taken(&self) -> Taken {
        self.pipeline.taken()
    }

    /// [`Pipeline::is_idle`].
    pub fn is_idle(&self) -> bool {
        self.pipeline.is_idle()
    }

    /// [`Pipeline::advance`].
    ///
    /// # Errors
    /// As there, and if an input could not be recorded.
    pub fn advance(&mut self, watermark_ns: u64) -> io::Result<()> {
        self.write(|| Step::Advance { watermark_ns });
        self.capture.as_mut().map_or(Ok(()), Capture::checked)?;
        self.pipeline.advance(watermark_ns)
    }

    /// [`Pipeline::finish`].
    ///
    /// # Errors
    /// As there, and if an input could not be recorded.
    pub fn finish(mut self, end_ns: u64, account: &Account) -> io::Result<Summary> {
        self.write(|| Step::Finish {
            end_ns,
            account: account.clone(),
        });
        if let Some(capture) = &mut self.capture {
            capture.checked()?;
            capture.out.finish().map_err(of_recording)?;
        }
        self.pipeline.finish(end_ns, account)
    }

    fn write(&mut self, step: impl FnOnce() -> Step) {
        if let Some(capture) = &mut self.capture {
            capture.write(&step());
        }
    }
}
