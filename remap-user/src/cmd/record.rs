//! `remap record`: a live session into a recording.

use std::{io, path::PathBuf};

use clap::Args;
use remap_core::{
    event::Event,
    model::{Blind, Output, Summary},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, downtime::Downtime},
};

use crate::{
    cmd::{
        recording::{self, Destination},
        tracing::{Tracing, Wanted},
    },
    exit::{Error, say},
};

/// Records a trace: `remap report` shows it later as a trace would have done, and perf opens it.
///
/// The recording is a perf.data file with a tracepoint for each kind of record, such as remap:signal. While it
/// grows it can be read at any time (`perf script -i FILE`), and it may be cut off at any byte; at the
/// end it becomes a file that every command of perf opens. It has no address of the kernel. Ends as a
/// trace does: at Ctrl-C, or after --duration.
#[derive(Args, Debug)]
pub struct Record {
    #[command(flatten)]
    tracing: Tracing,
    /// Write to this file, which only its owner can read; `-`: to stdout, as in
    /// `remap record -o - | perf script -i -`.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Overwrite FILE.
    #[arg(long)]
    force: bool,
}

impl Record {
    /// Records until it is ended.
    ///
    /// # Errors
    /// If an argument is wrong, the recording cannot be written, or records were lost and
    /// `--fail-on-loss` is set.
    pub fn run(self) -> Result<(), Error> {
        let summary = self.tracing.run(self.record())?;
        let lost = summary.lost_total();
        let file = self.output.display();
        say(format_args!(
            "{} records, {lost} lost: {file}",
            summary.delivered
        ));
        self.tracing.judge(&summary)
    }

    async fn record(&self) -> Result<Summary, Error> {
        self.tracing.check()?;
        let recording = recording::create(&self.output, self.force)?;
        let began = self.tracing.begin().await?;
        let stop = std::sync::Arc::clone(&began.stop);
        let wanted = Wanted {
            selection: self.tracing.filters.selection(),
            events: false,
            stages: false,
            recording: Some(Destination::begin(recording)?),
        };
        let end = self.tracing.ended(&stop);
        self.tracing.follow(began, wanted, Nothing, end).await
    }
}

/// Shows nothing.
struct Nothing;

impl Sink for Nothing {
    fn output(&mut self, _: &Output) -> io::Result<()> {
        Ok(())
    }

    fn event(&mut self, _: &Event, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self, _: &Checkpoint) -> io::Result<()> {
        Ok(())
    }

    fn downtime(&mut self, _: &Downtime) -> io::Result<()> {
        Ok(())
    }

    fn blind(&mut self, _: &Blind) -> io::Result<()> {
        Ok(())
    }

    fn owner(&mut self, _: u32, _: Option<&str>) {}

    fn summary(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
