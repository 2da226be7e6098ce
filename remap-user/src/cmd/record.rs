//! `remap record`: a live session into a recording.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use remap_core::model::Summary;

use crate::{
    cmd::{
        launch::{self, Ended, Launcher},
        recording,
        tracing::Tracing,
    },
    exit::{Error, say},
};

/// Records a trace: `remap report` shows it later as a trace would have done, and perf opens it.
///
/// The recording is a perf.data file with a tracepoint for each kind of record, such as remap:signal. While it
/// grows it can be read at any time (`perf script -i FILE`), and it may be cut off at any byte; at the
/// end it becomes a file that every command of perf opens. It has no address of the kernel, unless
/// --addresses asks for them. It always has the records of all devices; a report shows those of
/// --device, --pid and --vm, unless it is asked for others. Recording costs less than tracing: nothing is
/// correlated.
///
/// Ends as a trace does, at Ctrl-C or after --duration; or when CMD has ended, whose exit status is
/// then that of remap. CMD is started once the probes are attached, with the rights of remap. It is
/// not ended with the recording.
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
    /// Record kernel addresses as they are; else a number stands for each.
    #[arg(long)]
    addresses: bool,
    /// Record while this command runs. With `-o -` its output goes to stderr.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Record {
    /// Records until it is ended. Returns the exit code of the command, or 0.
    ///
    /// # Errors
    /// If an argument is wrong, the recording cannot be written, the command cannot be started, or
    /// records were lost and `--fail-on-loss` is set.
    pub fn run(self) -> Result<u8, Error> {
        let (summary, code) = self.tracing.run(self.record())?;
        let lost = summary.lost_total();
        let file = self.output.display();
        say(format_args!(
            "{} records, {lost} lost: {file}",
            summary.delivered
        ));
        self.tracing.judge(&summary)?;
        Ok(code)
    }

    async fn record(&self) -> Result<(Summary, u8), Error> {
        self.tracing.check()?;
        let recording = recording::create(&self.output, self.force)?;
        let command = self.command()?;
        let (launcher, mut ended) = match command {
            Some((launcher, ended)) => (Some(launcher), Some(ended)),
            None => (None, None),
        };
        let began = self.tracing.begin().await?;
        let stop = Arc::clone(&began.stop);
        let mut code = None;
        let end = async {
            tokio::select! {
                () = self.tracing.ended(&stop) => {}
                status = launch::exit_code(ended.as_mut()) => code = Some(status),
            }
        };
        let out = (recording.begin()?, self.addresses);
        let summary = self
            .tracing
            .record(began, out, launcher.as_ref(), end)
            .await?;
        if let Some((name, pid)) = launcher.as_ref().and_then(Launcher::process)
            && code.is_none()
        {
            say(format_args!(
                "the recording has ended; {name} (pid {pid}) still runs"
            ));
        }
        Ok((summary, code.unwrap_or(0)))
    }

    fn command(&self) -> Result<Option<(Launcher, Ended)>, Error> {
        if self.command.is_empty() {
            return Ok(None);
        }
        let uses_stdout = self.output == Path::new("-");
        Launcher::prepare(&self.command, uses_stdout).map(Some)
    }
}
