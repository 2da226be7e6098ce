//! `remap report`: a recording, shown as a trace would have shown it.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use remap_core::{
    correlate::Options,
    event::Errno,
    model::Class,
    pipeline::Pipeline,
    replay::{Recording, Replayed},
    sink::{
        Sink,
        json::Json,
        select::{Select, Selection},
    },
};

use crate::{
    cmd::select::{Lines, Scope, Shown, options, text},
    exit::{Code, Error, say},
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
    scope: Scope,
    #[command(flatten)]
    lines: Lines,
    /// Only what is about this region, by its index; may be repeated.
    #[arg(long, value_name = "INDEX", value_delimiter = ',')]
    region: Vec<u32>,
    /// Only what was in this time, in part at least: seconds since the recording began, as the text shows
    /// them, such as 1.5..2.25; either may be left out.
    #[arg(long, value_name = "T1..T2", value_parser = between)]
    between: Option<(u64, u64)>,
    /// Only findings; the same as --class finding.
    #[arg(long, conflicts_with = "class")]
    findings: bool,
    #[command(flatten)]
    shown: Shown,
    /// Exit with 4 if any record was lost, hooks did not fire for a time, or the recording was cut
    /// off.
    #[arg(long)]
    fail_on_loss: bool,
}

/// Parses a time: two numbers of seconds, ns here.
fn between(text: &str) -> Result<(u64, u64), String> {
    let wrong = || "not a time in seconds, as in 1.5..2.25, ..2 or 1.5..".to_owned();
    let (from, until) = text.split_once("..").ok_or_else(wrong)?;
    let ns = |text: &str, absent| match text {
        "" => Ok(absent),
        _ => {
            let seconds = text.parse::<f64>().map_err(|_| wrong())?;
            let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
            u64::try_from(time.as_nanos()).map_err(|_| wrong())
        }
    };
    match (ns(from, 0)?, ns(until, u64::MAX)?) {
        (from, until) if from <= until => Ok((from, until)),
        _ => Err("it ends before it begins".to_owned()),
    }
}

impl Report {
    /// Shows it.
    ///
    /// # Errors
    /// If it cannot be read, or is no recording; and with `--fail-on-loss`, if it is incomplete.
    pub fn run(self) -> Result<(), Error> {
        let recording = Recording::open(self.open()?).map_err(|error| self.unreadable(&error))?;
        let out = BufWriter::new(io::stdout().lock());
        let start_ns = recording.start.start_ns;
        let replayed = match self.shown.json {
            true => self.replay(recording, Json::new(out)),
            false => self.replay(recording, text(out, start_ns)),
        }?;
        self.judge(&replayed)
    }

    fn open(&self) -> Result<Box<dyn Read>, Error> {
        if self.file == Path::new("-") {
            return Ok(Box::new(io::stdin().lock()));
        }
        match File::open(&self.file) {
            Ok(file) => Ok(Box::new(BufReader::with_capacity(1 << 18, file))),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn replay<S: Sink>(&self, recording: Recording<impl Read>, sink: S) -> Result<Replayed, Error> {
        let selection = self.selection(recording.start.start_ns);
        let options = Options {
            sees_consumers: recording.start.sees_consumers,
            stages: self.shown.stages,
            ..options(&selection)
        };
        let filter = self.scope.of_recording(&recording.start.filter);
        let names = recording.vm_names();
        let sink = Select::new(sink, selection);
        let pipeline = Pipeline::new(options, filter, names, self.shown.events, sink);
        recording
            .replay(pipeline)
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => error.into(),
                io::ErrorKind::InvalidData => self.unreadable(&error),
                _ => Error::new(Code::Failed, error),
            })
    }

    fn selection(&self, start_ns: u64) -> Selection {
        let mut selection = self.lines.selection();
        if self.findings {
            selection.classes = Some([Class::Finding].into());
        }
        selection.regions =
            (!self.region.is_empty()).then(|| self.region.iter().copied().collect());
        let since = |ns| start_ns.saturating_add(ns);
        selection.between = self
            .between
            .map(|(from, until)| (since(from), since(until)));
        selection
    }

    fn unreadable(&self, error: &io::Error) -> Error {
        let reason = match error.raw_os_error() {
            Some(_) => Errno::of(error).to_string(),
            None => error.to_string(),
        };
        let file = self.file.display();
        let message = format!("reading the recording {file} failed: {reason}");
        Error::with_message(Code::Failed, message)
    }

    /// What is incomplete.
    fn judge(&self, replayed: &Replayed) -> Result<(), Error> {
        let file = self.file.display();
        let mut incomplete = None;
        if let Some(place) = replayed.cut {
            let sentence = format!(
                "{file} was cut off at byte {}: what followed is not shown",
                place.0
            );
            match self.fail_on_loss {
                true => incomplete = Some(sentence),
                false => say(format_args!("{sentence}")),
            }
        }
        let lost = replayed.summary.lost_total();
        if lost > 0 {
            incomplete.get_or_insert_with(|| format!("{lost} records of {file} were lost"));
        }
        if !replayed.summary.blind.is_empty() {
            let sentence = || format!("hooks did not fire for a part of {file}");
            incomplete.get_or_insert_with(sentence);
        }
        match incomplete {
            Some(sentence) if self.fail_on_loss => Err(Error::with_message(Code::Lost, sentence)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_open() {
        assert_eq!(between("1.5..2"), Ok((1_500_000_000, 2_000_000_000)));
        assert_eq!(between("..0"), Ok((0, 0)));
        assert_eq!(between("3.."), Ok((3_000_000_000, u64::MAX)));
        for wrong in [
            "", "1", "2..1", "a..b", "-1..2", "1...2", "1..1e300", "nan..",
        ] {
            assert!(between(wrong).is_err(), "{wrong}");
        }
    }
}
