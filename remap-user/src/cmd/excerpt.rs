//! A recording that a command reads, and the part of it that is wanted.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    time::Duration,
};

use clap::Args;
use remap_core::{
    correlate::Options,
    event::Errno,
    model::Class,
    pipeline::{Filter, Pipeline},
    replay::{Recording, Replayed},
    sink::{
        Sink,
        select::{Select, Selection},
    },
};

use crate::{
    cmd::select::{Lines, Scope, options},
    exit::{Code, Error, say},
};

/// The part of a recording that is wanted.
#[derive(Args, Debug)]
pub struct Excerpt {
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
    /// Exit with 4 if any record was lost, hooks did not fire for a time, or the recording was cut
    /// off.
    #[arg(long)]
    fail_on_loss: bool,
}

/// A recording that is open.
pub type Opened = Recording<Box<dyn Read>>;

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

/// Opens a recording; `-`: stdin.
///
/// # Errors
/// If it cannot be read, or is no recording.
pub fn open(path: &Path) -> Result<Opened, Error> {
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            Box::new(BufReader::with_capacity(1 << 18, file))
        }
    };
    Recording::open(source).map_err(|error| unreadable(path, &error))
}

/// The error of a recording that cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> Error {
    let reason = match error.raw_os_error() {
        Some(_) => Errno::of(error).to_string(),
        None => error.to_string(),
    };
    let file = path.display();
    let message = format!("reading the recording {file} failed: {reason}");
    Error::with_message(Code::Failed, message)
}

impl Excerpt {
    /// Which devices and processes are wanted.
    pub fn filter(&self, recording: &Opened) -> Filter {
        self.scope.of_recording(&recording.start.filter)
    }

    /// How the recording is correlated of which these lines are wanted.
    pub fn options(&self, recording: &Opened) -> Options {
        Options {
            sees_consumers: recording.start.sees_consumers,
            ..options(&self.selection(recording.start.start_ns))
        }
    }

    /// The pipeline of a recording, into `sink`.
    pub fn pipeline<S: Sink>(
        &self,
        recording: &Opened,
        options: Options,
        events: bool,
        sink: S,
    ) -> Pipeline<Select<S>> {
        let sink = Select::new(sink, self.selection(recording.start.start_ns));
        let names = recording.vm_names();
        Pipeline::new(options, self.filter(recording), names, events, sink)
    }

    /// Which lines are wanted of a recording that began at `start_ns` (CLOCK_MONOTONIC).
    pub fn selection(&self, start_ns: u64) -> Selection {
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

    /// What is incomplete.
    ///
    /// # Errors
    /// With `--fail-on-loss`, if anything is.
    pub fn judge(&self, path: &Path, replayed: &Replayed) -> Result<(), Error> {
        let file = path.display();
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
