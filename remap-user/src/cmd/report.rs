//! `remap report`: a recording, shown as a trace would have shown it.

use std::{
    io::{self, BufWriter},
    path::PathBuf,
};

use clap::Args;
use remap_core::{
    correlate::Options,
    replay::Replayed,
    sink::{Sink, json::Json},
};

use crate::{
    cmd::{
        excerpt::{self, Excerpt, Opened, unreadable},
        select::{Shown, text},
    },
    exit::{Code, Error},
};

/// Shows a recording of `remap record` or `remap trace --record` as a live trace would have done.
///
/// Of a recording with --device, --pid or --vm only those are shown, unless others are named here. Needs no
/// rights, and runs on any machine. A recording that was cut off is shown as far as it goes.
#[derive(Args, Debug)]
pub struct Report {
    /// The recording; `-`: stdin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    excerpt: Excerpt,
    #[command(flatten)]
    shown: Shown,
}

impl Report {
    /// Shows it.
    ///
    /// # Errors
    /// If it cannot be read, or is no recording; and with `--fail-on-loss`, if it is incomplete.
    pub fn run(self) -> Result<(), Error> {
        let recording = excerpt::open(&self.file)?;
        let out = BufWriter::new(io::stdout().lock());
        let start_ns = recording.start.start_ns;
        let replayed = match self.shown.json {
            true => self.replay(recording, Json::new(out)),
            false => self.replay(recording, text(out, start_ns)),
        }?;
        self.excerpt.judge(&self.file, &replayed)
    }

    fn replay<S: Sink>(&self, recording: Opened, sink: S) -> Result<Replayed, Error> {
        let options = Options {
            stages: self.shown.stages,
            ..self.excerpt.options(&recording)
        };
        let events = self.shown.events;
        let pipeline = self.excerpt.pipeline(&recording, options, events, sink);
        recording
            .replay(pipeline)
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => error.into(),
                io::ErrorKind::InvalidData => unreadable(&self.file, &error),
                _ => Error::new(Code::Failed, error),
            })
    }
}
