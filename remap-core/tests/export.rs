//! Recordings of real traces in the formats of other tools: each has the cycles, the state changes and the
//! times of `report --json`.
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads recordings and the expected lines"
)]

use std::{cell::RefCell, collections::BTreeSet, io, path::Path, rc::Rc};

use remap_core::{
    correlate::Options,
    export::{Deriving, csv::Csv, otlp::Otlp, span::Spanning},
    pipeline::{Filter, Pipeline},
    replay::Recording,
    sink::{Sink, select::Selection},
};
use serde_json::Value;

const FIXTURES: [&str; 6] = [
    "drill-6.1",
    "drill-6.12",
    "drill-newest",
    "migration-6.1",
    "migration-6.12",
    "migration-newest",
];

/// A writer whose bytes can be read after the sink is gone.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read(name: &str, ending: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(folder.join(format!("{name}.{ending}"))).unwrap()
}

/// The lines of `report --json` of one type.
fn lines(name: &str, kind: &str) -> Vec<Value> {
    let text = String::from_utf8(read(name, "jsonl")).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == kind).collect()
}

type Bytes<'a> = &'a [u8];

fn replay<S: Sink>(name: &str, make: impl FnOnce(&Recording<Bytes<'_>>, Shared) -> S) -> Vec<u8> {
    let bytes = read(name, "perf.data");
    let recording = Recording::open(bytes.as_slice()).unwrap();
    let options = Options {
        sees_consumers: recording.start.sees_consumers,
        interrupts: true,
        ..Options::default()
    };
    let out = Shared::default();
    let sink = make(&recording, out.clone());
    let names = recording.vm_names();
    let pipeline = Pipeline::new(options, Filter::default(), names, true, sink);
    recording.replay(pipeline).unwrap();
    out.0.take()
}

/// The rows of CSV, each with its values by column. No value of the recordings has a quoted line break.
fn csv(name: &str) -> Vec<Vec<(String, String)>> {
    let bytes = replay(name, |recording, out| {
        let csv = Csv::new(out, recording.origin().clocks).unwrap();
        Deriving::new(csv, Selection::default())
    });
    let text = String::from_utf8(bytes).unwrap();
    let mut rows = text.split_terminator("\r\n").map(fields);
    let names = rows.next().unwrap();
    rows.map(|row| {
        assert_eq!(row.len(), names.len(), "{row:?}");
        names.iter().cloned().zip(row).collect()
    })
    .collect()
}

fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for char in line.chars() {
        match char {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            char => fields.last_mut().unwrap().push(char),
        }
    }
    fields
}

fn value<'a>(row: &'a [(String, String)], column: &str) -> &'a str {
    let found = row.iter().find(|(name, _)| name == column);
    &found.unwrap_or_else(|| panic!("no column {column}")).1
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn csv_has_the_cycles_of_the_report() {
    for name in FIXTURES {
        let rows = csv(name);
        let of = |kind: &str, columns: &[&str]| -> BTreeSet<Vec<String>> {
            let rows = rows.iter().filter(|row| value(row, "kind") == kind);
            rows.map(|row| {
                let values = columns.iter().map(|column| value(row, column).to_owned());
                values.collect()
            })
            .collect()
        };
        let reported = |kind: &str, fields: &[&str]| -> BTreeSet<Vec<String>> {
            let lines = lines(name, kind).into_iter();
            lines
                .map(|line| fields.iter().map(|field| text(&line[*field])).collect())
                .collect()
        };
        let cycles = ["device", "region", "trigger_id", "outcome"];
        let expected = reported(
            "cycle",
            &[&cycles[..], &["trigger_ns", "released_ns"]].concat(),
        );
        let found = of("cycle", &[&cycles[..], &["begin_ns", "time_ns"]].concat());
        assert_eq!(found, expected, "{name}");
        let changes = ["device", "from", "to", "begin_ns"];
        let found = of(
            "transition",
            &[&changes[..], &["time_ns", "errno"]].concat(),
        );
        let expected = reported(
            "transition",
            &[&changes[..], &["end_ns", "result"]].concat(),
        );
        assert_eq!(found, expected, "{name}");
        assert!(!expected.is_empty(), "{name}");
        let found = of("finding", &["device", "rule", "text"]);
        assert_eq!(
            found,
            reported("finding", &["device", "rule", "text"]),
            "{name}"
        );
        assert!(
            rows.iter().any(|row| value(row, "kind") == "call"),
            "{name}"
        );
    }
}

#[test]
fn csv_has_the_time_of_the_wall_clock() {
    for name in FIXTURES {
        let bytes = read(name, "perf.data");
        let recording = Recording::open(bytes.as_slice()).unwrap();
        let clocks = recording.origin().clocks.unwrap();
        for row in csv(name) {
            let [time_ns, wall_ns] = ["time_ns", "wall_ns"].map(|column| value(&row, column));
            let time_ns: u64 = time_ns.parse().unwrap();
            assert_eq!(wall_ns, clocks.wall_of(time_ns).unwrap().to_string());
        }
    }
}

fn otlp(name: &str) -> Vec<Value> {
    let bytes = replay(name, |recording, out| {
        let otlp = Otlp::new(out, recording.origin());
        let spans = Spanning::new(otlp, recording.origin().clocks, "seed");
        Deriving::new(spans, Selection::default())
    });
    let text = String::from_utf8(bytes).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let spans = lines.flat_map(|line| {
        let spans = &line["resourceSpans"][0]["scopeSpans"][0]["spans"];
        spans.as_array().unwrap().clone()
    });
    spans.collect()
}

/// An attribute of a span, as text.
fn attribute(span: &Value, key: &str) -> String {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    let value = found.map(|attribute| &attribute["value"]);
    let value = value
        .and_then(|value| value.as_object()?.values().next())
        .cloned();
    text(&value.unwrap_or_default())
}

#[test]
fn spans_are_the_cycles_and_changes_of_the_report() {
    for name in FIXTURES {
        let bytes = read(name, "perf.data");
        let recording = Recording::open(bytes.as_slice()).unwrap();
        let clocks = recording.origin().clocks.unwrap();
        let wall = |value: &Value| clocks.wall_of(value.as_u64().unwrap()).unwrap().to_string();
        let spans = otlp(name);
        let changes = lines(name, "transition");
        for change in &changes {
            let id = change["id"].to_string();
            let mut of = spans.iter().filter(|span| {
                attribute(span, "remap.transition_id") == id
                    && span["name"].as_str().unwrap().starts_with("change")
            });
            let span = of.next().unwrap();
            assert!(of.next().is_none());
            assert_eq!(span["startTimeUnixNano"], wall(&change["begin_ns"]));
            assert_eq!(span["endTimeUnixNano"], wall(&change["end_ns"]));
        }
        for cycle in lines(name, "cycle") {
            let mut of = spans.iter().filter(|span| {
                span["name"] == "cycle"
                    && ["device", "region", "trigger_id"]
                        .iter()
                        .all(|key| attribute(span, &format!("remap.{key}")) == text(&cycle[*key]))
            });
            let span = of.next().unwrap();
            assert!(of.next().is_none());
            assert_eq!(span["startTimeUnixNano"], wall(&cycle["trigger_ns"]));
            let parent = spans
                .iter()
                .find(|parent| parent["spanId"] == span["parentSpanId"]);
            let parent = parent.expect("a cycle of a drill is in a state change");
            assert_eq!(
                attribute(parent, "remap.transition_id"),
                text(&cycle["transition"]["id"])
            );
            assert_eq!(parent["traceId"], span["traceId"]);
        }
        let ids: BTreeSet<&str> = spans
            .iter()
            .map(|span| span["spanId"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), spans.len(), "{name}: each id is of one span");
        let orphan = spans.iter().find(|span| {
            span["parentSpanId"]
                .as_str()
                .is_some_and(|parent| !ids.contains(parent))
        });
        assert_eq!(orphan, None, "{name}");
        for root in spans.iter().filter(|span| span["name"] == "migration") {
            let inside = |time: &Value| {
                let ns = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
                (ns(&root["startTimeUnixNano"])..=ns(&root["endTimeUnixNano"])).contains(&ns(time))
            };
            let of = |span: &&Value| span["parentSpanId"] == root["spanId"];
            for span in spans.iter().filter(of) {
                assert!(inside(&span["startTimeUnixNano"]) && inside(&span["endTimeUnixNano"]));
            }
        }
    }
}
