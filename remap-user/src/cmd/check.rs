//! `remap check`: a recording, a trace or a drill against the duties of driver and user.

mod junit;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use remap_core::{
    check::{Check as Checking, DutyLine, Judgement, Verdict},
    correlate::Options,
    model::Class,
    pipeline::Pipeline,
    sink::select::{Select, Selection},
};

use crate::{
    cmd::{
        excerpt,
        launch::{self, Ended, Launcher},
        recording::create_file,
        tracing::{Tracing, Wanted},
    },
    exit::{Code, Error, say},
    vfio::bdf::Bdf,
};

/// Checks the duties of a driver and of its user: those of the remap IRQ, of migration and of interrupts.
///
/// Each duty is a sentence of remap_irq.h or of the kernel's include/uapi/linux/vfio.h; docs/check.md has
/// the table. A duty is met (pass), broken (fail; advice, if it is only recommended), not exercised, or
/// unknown, if records are missing that could show that it was broken. Exits with 1 if one failed.
#[derive(Args, Debug)]
#[group(id = "what", required = true, multiple = false, args = ["file", "live", "drill"])]
pub struct Check {
    /// Check this recording; `-`: stdin.
    #[arg(value_name = "FILE", conflicts_with_all = ["qemu_log", "duration", "ready_file", "buffer", "kprobes", "no_reattach", "probe_log"])]
    file: Option<PathBuf>,
    /// Check what happens from now on, until Ctrl-C or for --duration.
    #[arg(long)]
    live: bool,
    /// Check a drill of this device, which has a part for each duty of the driver.
    #[arg(long, value_name = "BDF", conflicts_with_all = ["device", "pid", "vm"])]
    drill: Option<Bdf>,
    /// How often the drill goes from RUNNING to RUNNING.
    #[arg(long, value_name = "N", default_value_t = 2, requires = "drill", value_parser = clap::value_parser!(u64).range(1..))]
    cycles: u64,
    #[command(flatten)]
    tracing: Tracing,
    /// Write JSON Lines: one for each duty, and one for the totals.
    #[arg(long)]
    json: bool,
    /// Write a JUnit report too, which only its owner can read.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Overwrite the file of --junit.
    #[arg(long, requires = "junit")]
    force: bool,
}

/// What was checked.
struct Checked {
    verdict: Verdict,
    /// What else failed.
    failure: Option<String>,
}

impl Check {
    /// Checks it.
    ///
    /// # Errors
    /// If it cannot be traced or read, and if a duty or the drill failed.
    pub fn run(mut self) -> Result<(), Error> {
        if let Some(device) = self.drill {
            self.tracing.scope.select_device(&device.to_string());
        }
        let junit = self.junit.as_deref();
        let junit = junit
            .map(|path| create_file("JUnit report", path, self.force))
            .transpose()?;
        if let Some(file) = &junit {
            // Now: a trace gives up the right to do it.
            file.set_len(0)?;
        }
        let checked = match &self.file {
            Some(file) => self.recording(file)?,
            None => self.trace()?,
        };
        self.write(&checked.verdict)?;
        if let Some(file) = junit {
            let path = self.junit.as_deref().unwrap_or(Path::new(""));
            let written = write_junit(file, &checked.verdict, &self.what());
            written.with_context(|| format!("writing the JUnit report {}", path.display()))?;
        }
        judge(&checked)
    }

    /// What is checked, as the JUnit report names it.
    fn what(&self) -> String {
        match (&self.file, self.drill) {
            (Some(file), _) => file.display().to_string(),
            (None, Some(device)) => format!("drill of {device}"),
            (None, None) => "live".to_owned(),
        }
    }

    fn recording(&self, file: &Path) -> Result<Checked, Error> {
        let recording = excerpt::open(file)?;
        let options = Checking::options(Options {
            sees_consumers: recording.start.sees_consumers,
            ..Options::default()
        });
        let mut check = Checking::new(recording.start.missing_hooks.clone());
        let names = recording.vm_names();
        let filter = self.tracing.scope.of_recording(&recording.start.filter);
        let pipeline = Pipeline::new(options, filter, names, true, &mut check);
        let replayed = recording.replay(pipeline);
        let replayed = replayed.map_err(|error| excerpt::unreadable(file, &error))?;
        if let Some(place) = replayed.cut {
            check.cut_off(place.0);
        }
        Ok(Checked {
            verdict: check.verdict(),
            failure: None,
        })
    }

    fn trace(&self) -> Result<Checked, Error> {
        self.tracing.check()?;
        self.tracing.run(async {
            let drill = self.drill.map(|device| self.launch(device)).transpose()?;
            let (launcher, mut ended) = drill.unzip();
            let began = self.tracing.begin().await?;
            let mut check = Checking::new(began.missing_hooks());
            let stop = std::sync::Arc::clone(&began.stop);
            let mut code = None;
            let end = async {
                tokio::select! {
                    () = self.tracing.ended(&stop) => {}
                    status = launch::exit_code(ended.as_mut()) => code = Some(status),
                }
            };
            let wanted = Wanted {
                selection: everything(),
                events: true,
                stages: false,
                recording: None,
                meter: None,
                exporter: None,
                launcher,
            };
            let sink = Select::new(&mut check, everything());
            let summary = self.tracing.follow(began, wanted, sink, end).await?;
            self.tracing.judge(&summary)?;
            Ok(Checked {
                verdict: check.verdict(),
                failure: self.drill.and_then(|device| failure(device, code)),
            })
        })
    }

    /// The drill, which starts once the hooks are attached. Its lines go to stderr.
    fn launch(&self, device: Bdf) -> Result<(Launcher, Ended), Error> {
        let program = std::env::current_exe().context("finding this program's file")?;
        let (cycles, device) = (self.cycles.to_string(), device.to_string());
        let arguments = ["drill", "--exercise", "--cycles", &cycles, &device];
        let arguments = arguments.iter().map(OsString::from);
        let words: Vec<OsString> = [program.into_os_string()]
            .into_iter()
            .chain(arguments)
            .collect();
        Launcher::prepare(&words, true)
    }

    fn write(&self, verdict: &Verdict) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        let written = match self.json {
            false => write!(out, "{verdict}"),
            true => verdict.clone().lines().try_for_each(|line| {
                serde_json::to_writer(&mut out, &line)?;
                writeln!(out)
            }),
        };
        Ok(written.and_then(|()| out.flush())?)
    }
}

/// Every class by name: single interrupts and mappings are left out otherwise.
fn everything() -> Selection {
    let classes: BTreeSet<Class> = Class::ALL.iter().copied().collect();
    Selection {
        classes: Some(classes),
        ..Selection::default()
    }
}

fn write_junit(mut file: File, verdict: &Verdict, what: &str) -> anyhow::Result<()> {
    let report = junit::report(verdict, what).to_string()?;
    Ok(file.write_all(report.as_bytes())?)
}

/// Why the exit code of a drill is a failure.
fn failure(device: Bdf, code: Option<u8>) -> Option<String> {
    match code {
        Some(0) => None,
        Some(_) => Some(format!("the drill of {device} failed")),
        None => Some(format!("the check has ended before the drill of {device}")),
    }
}

/// Whether every duty was met.
fn judge(checked: &Checked) -> Result<(), Error> {
    let failed = checked.verdict.met(Judgement::Fail);
    let names = |line: &DutyLine| line.duty.name();
    let failed: Vec<&str> = failed.map(names).collect();
    let message = match (failed.as_slice(), &checked.failure) {
        ([], None) => return Ok(()),
        ([], Some(failure)) => failure.clone(),
        (failed, failure) => {
            if let Some(failure) = failure {
                say(format_args!("{failure}"));
            }
            let (count, names) = (failed.len(), failed.join(", "));
            format!("{count} duties were broken: {names}")
        }
    };
    Err(Error::with_message(Code::Failed, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_that_of_a_duty_or_of_the_drill() {
        let checked = |failure: Option<&str>| Checked {
            verdict: Checking::default().verdict(),
            failure: failure.map(str::to_owned),
        };
        assert!(judge(&checked(None)).is_ok());
        let error = judge(&checked(Some("the drill failed"))).unwrap_err();
        assert_eq!(error.code, Code::Failed);
        assert_eq!(error.to_string(), "the drill failed");
    }
}
