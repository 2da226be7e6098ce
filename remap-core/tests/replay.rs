//! Recordings of real traces, replayed through the whole pipeline: their text and their JSON Lines
//! are those in the files beside them.
//!
//! `cargo xtask fixtures` captures the recordings anew; `REMAP_BLESS=1` writes the expected output.
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads recordings, and reads and writes the expected output"
)]

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use remap_core::check::{Check, Judgement};
use remap_core::correlate::Options;
use remap_core::pipeline::{Filter, Pipeline};
use remap_core::replay::Recording;
use remap_core::sink::Sink;
use remap_core::sink::json::Json;
use remap_core::sink::select::{Select, Selection};
use remap_core::sink::text::{Text, TextOptions};

/// The kernels of the lab.
const KERNELS: [&str; 3] = ["6.1", "6.12", "newest"];

/// A writer whose bytes can be read after the sink is gone.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn file(name: &str, ending: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    folder.join(format!("{name}.{ending}"))
}

/// Replays a recording into the sink that `make` makes of a writer and the time of the start.
fn replay<S: Sink>(name: &str, make: impl FnOnce(Shared, u64) -> S) -> String {
    let recording = std::fs::read(file(name, "perf.data")).unwrap();
    let recording = Recording::open(recording.as_slice()).unwrap();
    let options = Options {
        sees_consumers: recording.start.sees_consumers,
        ..Options::default()
    };
    let out = Shared::default();
    let sink = make(out.clone(), recording.start.start_ns);
    let sink = Select::new(sink, Selection::default());
    let names = recording.vm_names();
    let pipeline = Pipeline::new(options, Filter::default(), names, false, sink);
    let replayed = recording.replay(pipeline).unwrap();
    assert_eq!(replayed.cut, None, "{name} was cut off");
    assert_eq!(replayed.summary.lost_total(), 0, "{name} has lost records");
    String::from_utf8(out.0.take()).unwrap()
}

/// Checks a recording.
fn check(name: &str) -> String {
    let recording = std::fs::read(file(name, "perf.data")).unwrap();
    let recording = Recording::open(recording.as_slice()).unwrap();
    let options = Check::options(Options {
        sees_consumers: recording.start.sees_consumers,
        ..Options::default()
    });
    let mut check = Check::default();
    let names = recording.vm_names();
    let pipeline = Pipeline::new(options, Filter::default(), names, true, &mut check);
    recording.replay(pipeline).unwrap();
    let verdict = check.verdict();
    let duties = |judgement| verdict.met(judgement).map(|line| line.duty);
    assert_eq!(duties(Judgement::Fail).next(), None, "{name}: {verdict}");
    assert_eq!(duties(Judgement::Unknown).next(), None, "{name}: {verdict}");
    verdict.to_string()
}

/// That the output is the expected one; with `REMAP_BLESS` set, it is from now on.
fn expect(name: &str, ending: &str, output: &str) {
    let path = file(name, ending);
    if std::env::var_os("REMAP_BLESS").is_some() {
        std::fs::write(&path, output).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = output
        .lines()
        .zip(expected.lines())
        .find(|(is, was)| is != was);
    if let Some((is, was)) = differs {
        panic!("{}:\nwas {was}\nis  {is}", path.display());
    }
    let (is, was) = (output.lines().count(), expected.lines().count());
    assert_eq!(is, was, "{}: the number of lines", path.display());
}

fn all(fixture: &str) {
    for kernel in KERNELS {
        let name = format!("{fixture}-{kernel}");
        let text = replay(&name, |out, start_ns| {
            let colour = false;
            Text::new(out, TextOptions { colour, start_ns })
        });
        expect(&name, "txt", &text);
        let json = replay(&name, |out, _| Json::new(out));
        expect(&name, "jsonl", &json);
        expect(&name, "check.txt", &check(&name));
    }
}

#[test]
fn a_drill_on_each_kernel() {
    all("drill");
}

#[test]
fn a_migration_by_qemu_on_each_kernel() {
    all("migration");
}
