//! Where the input of a live trace goes.

use std::io;

use super::{
    Capture, Step,
    unexamined::{Nowhere, Unexamined},
};
use crate::{
    account::{Account, Loss, Taken},
    decode::in_flight::{ObservedCall, ObservedReturn},
    model::{Blind, Summary},
    pipeline::{Pipeline, VmNames},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, log::LogAccount},
};

/// Where the input of a live trace goes: into a pipeline, into a recording, or both.
pub struct Feed<S> {
    intake: Intake<S>,
    capture: Option<Capture>,
}

/// What takes the input beside the recording.
enum Intake<S> {
    Pipeline(Box<Pipeline<S>>),
    Unexamined(Unexamined),
}

impl Feed<Nowhere> {
    /// Only records: nothing is decoded or correlated. `names` is asked about each process that uses a
    /// device.
    pub fn recording(capture: Capture, names: VmNames) -> Self {
        let names = capture.vm_names(names);
        Self {
            intake: Intake::Unexamined(Unexamined::new(names)),
            capture: Some(capture),
        }
    }
}

impl<S: Sink> Feed<S> {
    /// Feeds `pipeline`.
    pub fn new(pipeline: Pipeline<S>, capture: Option<Capture>) -> Self {
        let intake = Intake::Pipeline(Box::new(pipeline));
        Self { intake, capture }
    }

    /// [`Pipeline::with_logs`].
    #[must_use]
    pub fn with_logs(self) -> Self {
        let intake = match self.intake {
            Intake::Pipeline(pipeline) => Intake::Pipeline(Box::new(pipeline.with_logs())),
            unexamined => unexamined,
        };
        Self { intake, ..self }
    }

    /// [`Pipeline::record`].
    pub fn record(&mut self, bytes: &[u8]) {
        // The pipeline of a replay gets the same bytes.
        let record = match &mut self.capture {
            Some(capture) => capture.copy(bytes),
            None => bytes,
        };
        match &mut self.intake {
            Intake::Pipeline(pipeline) => pipeline.record(record),
            Intake::Unexamined(unexamined) => unexamined.record(record),
        }
        if let Some(capture) = &mut self.capture {
            capture.write_record(bytes.len());
        }
    }

    /// A call that was in flight when the trace began.
    pub fn call(&mut self, mut call: ObservedCall) {
        if let Some(capture) = &mut self.capture {
            call.device = capture.address(call.device);
        }
        match &mut self.intake {
            Intake::Pipeline(pipeline) => call
                .event()
                .into_iter()
                .for_each(|event| pipeline.observed(event)),
            Intake::Unexamined(unexamined) => unexamined.acts(call.task.pid),
        }
        self.write(|| Step::Call(call));
    }

    /// Such a call has returned.
    pub fn returned(&mut self, mut returned: ObservedReturn) {
        if let Some(capture) = &mut self.capture {
            returned.device = capture.address(returned.device);
        }
        if let Intake::Pipeline(pipeline) = &mut self.intake {
            pipeline.observed(returned.event());
        }
        self.write(|| Step::Return(returned));
    }

    /// [`Pipeline::checkpoint`].
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.write(|| Step::Checkpoint(checkpoint.clone()));
        if let Intake::Pipeline(pipeline) = &mut self.intake {
            pipeline.checkpoint(checkpoint);
        }
    }

    /// [`Pipeline::losses`].
    pub fn losses(&mut self, mut losses: Vec<Loss>) {
        if losses.is_empty() {
            return;
        }
        if let Some(capture) = &mut self.capture {
            for device in losses.iter_mut().filter_map(|loss| loss.device.as_mut()) {
                *device = capture.address(*device);
            }
        }
        self.write(|| Step::Losses {
            losses: losses.clone(),
        });
        if let Intake::Pipeline(pipeline) = &mut self.intake {
            pipeline.losses(losses);
        }
    }

    /// [`Pipeline::latest_ns`].
    pub fn latest_ns(&self) -> u64 {
        match &self.intake {
            Intake::Pipeline(pipeline) => pipeline.latest_ns(),
            Intake::Unexamined(unexamined) => unexamined.latest_ns(),
        }
    }

    /// [`Pipeline::is_full`].
    pub fn is_full(&self) -> bool {
        match &self.intake {
            Intake::Pipeline(pipeline) => pipeline.is_full(),
            Intake::Unexamined(unexamined) => unexamined.is_full(),
        }
    }

    /// [`Pipeline::blind`].
    ///
    /// # Errors
    /// As there.
    pub fn blind(&mut self, blind: Blind) -> io::Result<()> {
        self.write(|| Step::Blind(blind.clone()));
        match &mut self.intake {
            Intake::Pipeline(pipeline) => pipeline.blind(blind),
            Intake::Unexamined(unexamined) => {
                unexamined.blind(blind);
                Ok(())
            }
        }
    }

    /// [`Pipeline::logs`].
    pub fn logs(&mut self, accounts: Vec<LogAccount>) {
        self.write(|| Step::Logs {
            accounts: accounts.clone(),
        });
        if let Intake::Pipeline(pipeline) = &mut self.intake {
            pipeline.logs(accounts);
        }
    }

    /// [`Pipeline::account`]; a recording has only the final one.
    pub fn account(&mut self, so_far: &dyn Fn() -> Account) {
        if let Intake::Pipeline(pipeline) = &mut self.intake {
            pipeline.account(so_far);
        }
    }

    /// [`Pipeline::taken`].
    pub fn taken(&self) -> Taken {
        match &self.intake {
            Intake::Pipeline(pipeline) => pipeline.taken(),
            Intake::Unexamined(unexamined) => unexamined.taken(),
        }
    }

    /// [`Pipeline::is_idle`].
    pub fn is_idle(&self) -> bool {
        match &self.intake {
            Intake::Pipeline(pipeline) => pipeline.is_idle(),
            Intake::Unexamined(unexamined) => unexamined.is_idle(),
        }
    }

    /// [`Pipeline::advance`].
    ///
    /// # Errors
    /// As there, and if an input could not be recorded.
    pub fn advance(&mut self, watermark_ns: u64) -> io::Result<()> {
        self.write(|| Step::Advance { watermark_ns });
        self.capture.as_mut().map_or(Ok(()), Capture::checked)?;
        match &mut self.intake {
            Intake::Pipeline(pipeline) => pipeline.advance(watermark_ns),
            Intake::Unexamined(unexamined) => {
                unexamined.advance(watermark_ns);
                Ok(())
            }
        }
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
            capture.finish()?;
        }
        match self.intake {
            Intake::Pipeline(pipeline) => pipeline.finish(end_ns, account),
            Intake::Unexamined(unexamined) => Ok(unexamined.finish(end_ns, account)),
        }
    }

    fn write(&mut self, step: impl FnOnce() -> Step) {
        if let Some(capture) = &mut self.capture {
            capture.write(&step());
        }
    }
}
