//! Recordings of real traces in the formats of other tools: each has the cycles, the state changes and the
//! times of `report --json`.
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads recordings and the expected lines"
)]

use std::{cell::RefCell, collections::BTreeSet, io, path::Path, rc::Rc};

use remap_core::{
    correlate::Options,
    export::{Deriving, csv::Csv},
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
