//! The whole output of each scene, held against a file in `golden/`: text, JSON Lines, statistics.
//!
//! A file is named after the test, and has one section for each scene that the test plays.
//! `REMAP_BLESS=1` writes them, so that a change of any value shows in review.
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads and writes the expected output"
)]

use std::cell::Cell;
use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::step::steps;
use super::{Correlator, Encoding, Options, Scene};
use crate::model::{Output, Stats};
use crate::sink::Sink;
use crate::sink::json::Json;
use crate::sink::text::{Text, TextOptions};

/// Ends a section.
const END: &str = "-- end of scene --\n";

const FOLDER: &str = "correlate/tests/golden";

/// How many random walks there are, half of them in each encoding.
const WALKS: usize = 60;

thread_local! {
    /// How many scenes this test has played: libtest runs each test in a thread of its own.
    static SCENES: Cell<usize> = const { Cell::new(0) };
}

fn text(outputs: &[Output]) -> String {
    let (colour, start_ns) = (false, 0);
    let mut text = Text::new(Vec::new(), TextOptions { colour, start_ns });
    for output in outputs {
        text.output(output).unwrap();
    }
    text.flush().unwrap();
    String::from_utf8(text.into_inner()).unwrap()
}

fn json(outputs: &[Output]) -> String {
    let mut json = Json::new(Vec::new());
    for output in outputs {
        json.output(output).unwrap();
    }
    String::from_utf8(json.into_inner()).unwrap()
}

/// Compares a section with the next one of a file, whose path is relative to `src`.
pub(crate) fn compare(file: &str, section: &str) {
    let nth = SCENES.replace(SCENES.get() + 1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let path = folder.join(file);
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let mut sections: Vec<&str> = expected.split_inclusive(END).take(nth + 1).collect();
    let section = section.to_owned() + END;
    if std::env::var_os("REMAP_BLESS").is_some() {
        sections.truncate(nth);
        std::fs::write(&path, sections.concat() + &section).unwrap();
        return;
    }
    let was = sections.get(nth).copied().unwrap_or_default();
    let mut lines = section.lines().zip(was.lines());
    let differs = lines.find(|(is, was)| is != was);
    assert_eq!(differs, None, "{} has (right) for (left)", path.display());
    assert_eq!(section.len(), was.len(), "{}: scene {nth}", path.display());
}

/// Compares what the running test's next scene gave. Sequences of the property tests are random
/// and have no file.
pub(super) fn expect(outputs: &[Output], stats: &Stats) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let test = test.strip_prefix("correlate::tests::");
    if let Some(test) = test.filter(|test| !test.starts_with("property")) {
        let stats = serde_json::to_string(stats).unwrap() + "\n";
        let section = text(outputs) + &json(outputs) + &stats;
        let file = format!("{FOLDER}/{}.txt", test.replace("::", "."));
        compare(&file, &section);
    }
}

/// A file whose test was renamed or removed would be compared with nothing.
#[test]
fn every_file_has_its_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/correlate/tests");
    for file in std::fs::read_dir(here.join("golden")).unwrap() {
        let file = file.unwrap().file_name();
        let name = file.to_str().unwrap().strip_suffix(".txt").unwrap();
        let (module, test) = name.split_once('.').unwrap_or(("golden", name));
        let source = std::fs::read_to_string(here.join(module).with_extension("rs")).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "no test of {name}");
    }
}

/// The steps of the property tests, from a fixed seed: what every path through the trackers gives.
#[test]
fn random_walks() {
    let mut runner = TestRunner::deterministic();
    for encoding in [Encoding::Bitmap, Encoding::Vectors].repeat(WALKS / 2) {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let scene = Scene::of_steps(encoding, steps);
        let mut correlator = Correlator::new(Options {
            stages: true,
            ..Options::default()
        });
        let events = scene.events.iter();
        let mut outputs: Vec<Output> = events.flat_map(|event| correlator.push(event)).collect();
        outputs.extend(correlator.finish(scene.now));
        compare(&format!("{FOLDER}/random_walks.txt"), &text(&outputs));
    }
}
