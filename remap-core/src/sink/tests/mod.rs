//! Every kind of line, held against the schema and the text that people see.

mod events;
mod hostile;
mod lines;
mod schema;
mod selection;
mod table;
mod vmm;

use std::path::Path;

use serde_json::Value;

use self::events::{every_event, feature};
use self::lines::other_lines;
use self::schema::{assert_one_shape, lines};
use self::vmm::vmm;
use super::json::Json;
use super::select::{Select, Selection};
use super::text::{Text, TextOptions};
use super::*;
use crate::account::{Miss, RECURSION};
use crate::correlate::tests::{self as played, Scene};
use crate::correlate::{Correlator, Options};
use crate::event::{
    Answer, Body, Call, ContextKey, DeviceCall, DeviceState, DmaKind, Errno, FaultOutcome,
    FeatureData, FeatureOp, IrqAction, IrqData, Node, NodeKey, Origin, Role, Target, UNKNOWN_INDEX,
    ZapCause,
};
use crate::model::{
    Activity, Blind, BlindCause, BlindHooks, CauseKind, Class, Closed, DataStats, Evicted,
    Exported, InFlightCall, Inferred, Interrupt, IrqChange, IrqName, IrqVerb, Mapped, MappedHow,
    Opened, Precopy, Rule, StateInterval, Withheld, Zap, ZapEnd, ZappedRegion,
};
use crate::parse::irq::{Encoding, IrqInfo};
use crate::vmm::{checkpoint::tests::checkpoint, downtime::Downtimes, log::LogAccount};

/// A trace with something of everything.
fn scene() -> Scene {
    let mut scene = Scene::new(Encoding::Bitmap);
    scene.map_all(&[0, 2]);
    scene.migration(&[0, 2]);
    let begin_ns = scene.enter(DeviceState::PreCopy);
    scene.trigger(&[0]);
    scene.wake(&[0]);
    scene.trap(&[0]);
    scene.wait(2_000_000_000);
    scene.exit(DeviceState::PreCopy, begin_ns, Err(Errno::ETIMEDOUT));
    scene.wait(200_000_000);
    scene.trigger(&[2]);
    scene.wake(&[2]);
    scene
}

fn write(sink: &mut impl Sink, scene: &Scene, options: Options) {
    let mut correlator = Correlator::new(options);
    for event in &scene.events {
        for output in correlator.push(event) {
            sink.output(&output).unwrap();
        }
    }
    for output in correlator.finish(scene.now) {
        sink.output(&output).unwrap();
    }
    let delivered = scene.events.len() as u64;
    let summary = Summary {
        skipped: 2,
        seen: Some(delivered + 3),
        delivered,
        lost: [("ring_full".to_owned(), 3)].into(),
        missed: vec![Miss {
            reason: RECURSION.into(),
            program: "eventfd_signal_fentry".into(),
            function: Some("eventfd_signal_mask".to_owned()),
            count: 2,
            loses: crate::account::Loses::Possibly,
            records: crate::event::LostKind::Signal,
        }],
        blind: vec![blind(Some(4_000_000))],
        stats: correlator.into_stats(),
        evicted: Evicted::default(),
        withheld: Withheld::default(),
        exported: Some(Exported {
            spans: 5,
            dropped: [("queue_full".to_owned(), 1)].into(),
        }),
        logs: Vec::new(),
    };
    sink.summary(&summary).unwrap();
}

/// A time in which kprobes were disarmed.
fn blind(until_ns: Option<u64>) -> Blind {
    Blind {
        since_ns: 1_500_000,
        until_ns,
        hooks: BlindHooks::Kprobe,
        cause: BlindCause::KprobesDisarmed,
    }
}

fn field(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// Holds text against a file beside this one; REMAP_BLESS=1 writes it.
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads and writes its expectations"
)]
fn expect(file: &str, text: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/sink")
        .join(file);
    let text = std::str::from_utf8(text).unwrap();
    if std::env::var_os("REMAP_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{file} says:\n{expected}\nand this is:\n{text}"
    );
}

#[test]
fn every_line_fits_the_schema() {
    let mut json = Json::new(Vec::new());
    let stages = true;
    write(
        &mut json,
        &scene(),
        Options {
            stages,
            ..Options::default()
        },
    );
    let lines = lines(json.into_inner());
    let mut types: Vec<String> = lines.iter().map(|line| field(line, "type")).collect();
    assert_eq!(types.last().map(String::as_str), Some("summary"));
    types.sort();
    types.dedup();
    assert_eq!(
        types,
        [
            "cycle",
            "finding",
            "stage",
            "state_interval",
            "summary",
            "transition"
        ]
    );
    let cycles = lines.iter().filter(|line| line["type"] == "cycle");
    let outcomes: Vec<String> = cycles.map(|line| field(line, "outcome")).collect();
    let expected = [
        "remapped",
        "remapped",
        "remapped",
        "remapped",
        "unacked",
        "incomplete",
    ];
    assert_eq!(outcomes, expected);
    let summary = lines.last().unwrap();
    assert_eq!(summary["cycles"], 6);
    assert_eq!(summary["lost"]["ring_full"], 3);
    assert_eq!(summary["missed"][0]["program"], "eventfd_signal_fentry");
    assert_eq!(summary["findings"]["missing-ack"], 1);
}

/// Every field of every kind of line, sorted by name.
#[test]
fn json_is_what_it_was() {
    let mut json = Json::new(Vec::new());
    let options = Options {
        stages: true,
        ..Options::default()
    };
    write(&mut json, &scene(), options);
    for output in other_lines() {
        json.output(&output).unwrap();
    }
    let (checkpoints, downtime) = vmm();
    for checkpoint in &checkpoints {
        json.checkpoint(checkpoint).unwrap();
    }
    json.downtime(&downtime).unwrap();
    for until_ns in [None, Some(4_000_000)] {
        json.blind(&blind(until_ns)).unwrap();
    }
    for event in every_event() {
        json.event(&event, played::NAME).unwrap();
    }
    let lines = lines(json.into_inner());
    assert_one_shape(&lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    expect("expected.jsonl", text.as_bytes());
}

#[test]
fn text_is_readable() {
    let mut text = Text::new(
        Vec::new(),
        TextOptions {
            colour: false,
            start_ns: 1_000_000,
        },
    );
    for until_ns in [None, Some(4_000_000)] {
        text.blind(&blind(until_ns)).unwrap();
    }
    write(&mut text, &scene(), Options::default());
    expect("expected.txt", &text.into_inner());
}

#[test]
fn colour_only_if_asked_for() {
    for colour in [false, true] {
        let mut text = Text::new(
            Vec::new(),
            TextOptions {
                colour,
                start_ns: 0,
            },
        );
        write(&mut text, &scene(), Options::default());
        assert_eq!(text.into_inner().contains(&0x1b), colour);
    }
}

#[test]
fn the_colour_of_a_cycle_is_that_of_its_outcome() {
    let options = TextOptions {
        colour: true,
        start_ns: 0,
    };
    let mut text = Text::new(Vec::new(), options);
    write(&mut text, &scene(), Options::default());
    let text = String::from_utf8(text.into_inner()).unwrap();
    for painted in ["32mremapped", "31munacked", "33mincomplete"] {
        assert!(
            text.contains(&format!("\x1b[{painted}\x1b[0m")),
            "{painted}"
        );
    }
}

/// A writer that counts how often it was flushed.
#[derive(Default)]
struct Flushed(usize);

impl io::Write for Flushed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }
}

#[test]
fn a_flush_reaches_the_writer() {
    let mut text = Text::new(Flushed::default(), TextOptions::default());
    text.flush().unwrap();
    assert_eq!(text.into_inner().0, 1);
    let mut json = Select::new(Json::new(Flushed::default()), Selection::default());
    json.flush().unwrap();
    assert_eq!(json.into_inner().into_inner().0, 1);
}
