//! `remap export`: a recording in the format of another tool.

use std::{
    io::{self, BufWriter, IsTerminal as _, StdoutLock, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use remap_core::{
    correlate::Options,
    event::Errno,
    export::{Deriving, csv::Csv, otlp::Otlp, perf::Perf, span::Spanning},
    perfdata::Output,
    replay::{Input, Replayed},
    sink::{Sink, json::Json},
};

use crate::{
    cmd::{
        excerpt::{self, Excerpt, Opened, unreadable},
        recording::{Destination, create_file},
    },
    exit::{Code, Error, say},
};

/// Writes a recording in the format of another tool.
///
/// What is written is what `remap report` would show, with the same filters. docs/export.md describes each
/// format. Times are those of the wall clock where the recording has a pair of clock times. Needs no rights,
/// and runs on any machine.
#[derive(Args, Debug)]
pub struct Export {
    /// The recording; `-`: stdin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The format.
    #[arg(long, value_name = "FORMAT")]
    to: Format,
    /// Write to this file, which only its owner can read; `-`: to stdout.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Overwrite OUT.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    excerpt: Excerpt,
}

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The lines of `remap report --json`, with every event.
    Json,
    /// A line for each cycle, stage, state change, interrupt, zap, call and finding.
    Csv,
    /// A perf.data file: the records, and tracepoints such as remap:cycle for what is derived from them.
    Perf,
    /// OTLP as JSON Lines, for an OpenTelemetry collector: a trace for each migration.
    Otlp,
}

impl Format {
    /// Whether a terminal can show it.
    fn is_text(self) -> bool {
        self != Self::Perf
    }

    /// Whether it has no use for a time that is not one of the wall clock.
    fn needs_wall_clock(self) -> bool {
        self != Self::Json
    }
}

impl Export {
    /// Writes it.
    ///
    /// # Errors
    /// If the recording cannot be read, or OUT cannot be written; and with `--fail-on-loss`, if the
    /// recording is incomplete.
    pub fn run(self) -> Result<(), Error> {
        let recording = excerpt::open(&self.file)?;
        if self.to.needs_wall_clock() && recording.origin().clocks.is_none() {
            say(format_args!(
                "{} has no pair of clock times: no time of the wall clock is known",
                self.file.display()
            ));
        }
        let out = self.create()?;
        let replayed = self.write(recording, out)?;
        self.excerpt.judge(&self.file, &replayed)
    }

    fn write(&self, recording: Opened, out: Box<dyn Output>) -> Result<Replayed, Error> {
        let start_ns = recording.start.start_ns;
        let origin = recording.origin().clone();
        let clocks = origin.clocks;
        let selection = self.excerpt.selection(start_ns);
        match self.to {
            Format::Json => self.replay(recording, false, Json::new(out), |_| Ok(())),
            Format::Csv => {
                let csv = Csv::new(out, clocks).map_err(|error| self.failed(&error))?;
                let sink = Deriving::new(csv, selection);
                self.replay(recording, true, sink, |_| Ok(()))
            }
            Format::Perf => {
                let machine = (origin.machine, clocks);
                let perf = Perf::new(out, machine, &recording.start);
                let perf = perf.map_err(|error| self.failed(&error))?;
                let sink = Deriving::new(perf.clone(), selection);
                self.replay(recording, true, sink, |input| perf.copy(input))
            }
            Format::Otlp => {
                let seed = format!("{origin:?} {start_ns}");
                let spans = Spanning::new(Otlp::new(out, &origin), clocks, &seed);
                let sink = Deriving::new(spans, selection);
                self.replay(recording, false, sink, |_| Ok(()))
            }
        }
    }

    /// Replays the recording; `interrupts`: with each interrupt, also if its class is not named.
    fn replay<S: Sink>(
        &self,
        recording: Opened,
        interrupts: bool,
        sink: S,
        copy: impl FnMut(Input<'_>) -> io::Result<()>,
    ) -> Result<Replayed, Error> {
        let options = self.excerpt.options(&recording);
        let options = Options {
            interrupts: interrupts || options.interrupts,
            ..options
        };
        let pipeline = self.excerpt.pipeline(&recording, options, true, sink);
        recording
            .replay_with(pipeline, copy)
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => error.into(),
                io::ErrorKind::InvalidData => unreadable(&self.file, &error),
                _ => self.failed(&error),
            })
    }

    fn create(&self) -> Result<Box<dyn Output>, Error> {
        if self.output == Path::new("-") {
            let stdout = io::stdout().lock();
            if stdout.is_terminal() && !self.to.is_text() {
                let message = "stdout is a terminal, and this format is binary: redirect it";
                return Err(Error::with_message(Code::Failed, message));
            }
            return Ok(Box::new(Stdout(BufWriter::new(stdout))));
        }
        if is_same(&self.file, &self.output) {
            let message = format!(
                "{} is the recording itself: name another file with -o",
                self.output.display()
            );
            return Err(Error::with_message(Code::Usage, message));
        }
        let file = create_file("export", &self.output, self.force)?;
        Destination::File(file).begin()
    }

    fn failed(&self, error: &io::Error) -> Error {
        let reason = match error.raw_os_error() {
            Some(_) => Errno::of(error).to_string(),
            None => error.to_string(),
        };
        let file = self.output.display();
        let message = format!("writing the export {file} failed: {reason}");
        Error::with_message(Code::Failed, message)
    }
}

/// Stdout, as slow as its reader.
struct Stdout(BufWriter<StdoutLock<'static>>);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Output for Stdout {}

/// Whether two paths are one file.
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let id = |path: &Path| {
        let meta = path.metadata().ok()?;
        Some((meta.dev(), meta.ino()))
    };
    id(one).is_some_and(|file| id(other) == Some(file))
}
