//! A recording of a trace, replayed: the same output.

use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use remap_core::correlate::Options;
use remap_core::pipeline::{Filter, Pipeline};
use remap_core::replay::Recording;
use remap_core::sink::json::Json;
use remap_core::sink::select::{Select, Selection};

use crate::rig::lab::Lab;
use crate::rig::process::{Output, Running, remap};
use crate::{ALL, Test};

pub fn tests() -> Vec<Test> {
    vec![Test::new(
        "replay::a_recording_gives_the_same_output",
        ALL,
        same_output,
    )]
}

const RECORDING: &str = "/run/lab-test.recording";

/// A writer whose bytes can be read later.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn same_output(lab: &mut Lab) -> Result<()> {
    let arguments = ["trace", "--json", "--events", "--capture", RECORDING];
    let trace = Running::start_ready(remap(&arguments), Output::Kept)?;
    lab.use_it()?;
    let ended = trace.end(Signal::INT)?;
    let live = &ended.expect(0)?.stdout;
    let replayed = replay()?;
    fs::remove_file(RECORDING)?;
    for (number, (was, is)) in live.lines().zip(replayed.lines()).enumerate() {
        ensure!(was == is, "line {number} was {was} and is {is}");
    }
    let (was, is) = (live.lines().count(), replayed.lines().count());
    ensure!(was == is && was > 10, "{was} lines, and {is} of the replay");
    Ok(())
}

/// The JSON Lines of the recording.
fn replay() -> Result<String> {
    let recording = Recording::open(File::open(RECORDING)?).context("opening the recording")?;
    let options = Options {
        sees_consumers: recording.start.sees_consumers,
        ..Options::default()
    };
    let out = Shared::default();
    let names = recording.vm_names();
    let sink = Select::new(Json::new(out.clone()), Selection::default());
    let pipeline = Pipeline::new(options, Filter::default(), names, true, sink);
    recording.replay(pipeline)?;
    let bytes = out.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(String::from_utf8(bytes.clone())?)
}
