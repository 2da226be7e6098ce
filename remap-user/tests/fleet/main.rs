//! What `--metrics` serves: a recording's cycles, with the times that its lines have, as text and as
//! a real Prometheus has scraped it. And that Prometheus accepts the files of docs/fleet.

mod collector;
mod lines;
mod programs;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use remap_core::{
    correlate::Options,
    metrics::{Meter, Metered},
    pipeline::{Filter, Pipeline},
    replay::Recording,
    sink::{json::Json, observe::Observed},
};
use remap_user::{metrics::serve, otlp::Exporter};

use lines::expected;
use opentelemetry_proto::tonic::trace::v1::Span;
use programs::{get, promtool, scraped};
use serde_json::Value;

/// Values by series: `name{label="value",…}`, the labels in order.
pub type Series = BTreeMap<String, f64>;

/// A writer whose bytes can be read after the sink is gone.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Replays a recording: where it is served, and its lines.
fn replayed(name: &str) -> (SocketAddr, String) {
    let (meter, address) = serve("0".parse().unwrap(), None).unwrap();
    (address, replay(name, Some(meter), None))
}

/// The lines of a recording, which is also counted and sent.
fn replay(name: &str, meter: Option<Meter>, exporter: Option<Exporter>) -> String {
    let folder = root().join("remap-core/tests/fixtures");
    let file = File::open(folder.join(name)).unwrap();
    let recording = Recording::open(BufReader::new(file)).unwrap();
    let options = Options {
        sees_consumers: recording.start.sees_consumers,
        interrupts: true,
        ..Options::default()
    };
    let out = Shared::default();
    let sink = Observed::new(Json::new(out.clone()), exporter);
    let sink = Metered::new(sink, meter, (true, true));
    let names = recording.vm_names();
    let pipeline = Pipeline::new(options, Filter::default(), names, true, sink);
    recording.replay(pipeline).unwrap();
    String::from_utf8(std::mem::take(&mut *out.0.lock().unwrap())).unwrap()
}

/// The labels of a series, in order.
fn sorted(series: &str) -> String {
    let Some((name, labels)) = series.split_once('{') else {
        return series.to_owned();
    };
    // No name in a fixture has a comma.
    let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
    labels.sort_unstable();
    format!("{name}{{{}}}", labels.join(","))
}

fn parsed(page: &str) -> Series {
    let values = page.lines().filter(|line| !line.starts_with('#'));
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (sorted(series), value.parse().unwrap())
    };
    values.map(value).collect()
}

/// That the series have what the lines have: no other, and each with its value.
fn agree(series: &Series, lines: &str) {
    let expected = expected(lines);
    assert!(expected.len() > 20, "{expected:#?}");
    for (name, value) in &expected {
        let there = series.get(name).copied();
        let near = there.is_some_and(|there| (there - value).abs() < 1e-9 * value.max(1.0));
        assert!(near, "{name} is {there:?}, and {value} by the lines");
    }
    let counted = |name: &&String| {
        let name = name.split('{').next().unwrap_or_default();
        lines::COUNTED.contains(&name)
    };
    let others: Vec<_> = series.keys().filter(counted).collect();
    let others: Vec<_> = others
        .iter()
        .filter(|name| !expected.contains_key(**name))
        .collect();
    assert!(others.is_empty(), "not in the lines: {others:?}");
}

const RECORDINGS: [&str; 2] = ["drill-6.12.perf.data", "migration-6.12.perf.data"];

#[test]
fn a_page_agrees_with_the_lines() {
    for name in RECORDINGS {
        let (address, lines) = replayed(name);
        let page = get(address, "/metrics");
        assert!(page.ends_with("# EOF\n"));
        agree(&parsed(&page), &lines);
    }
}

#[test]
fn a_collector_gets_the_cycles_of_the_lines() {
    for name in RECORDINGS {
        let (address, requests) = collector::start();
        let endpoint = format!("http://{address}").parse().unwrap();
        let exporter = Exporter::start(&endpoint).unwrap();
        let lines = replay(name, None, Some(exporter));
        let spans = collector::spans(requests.try_iter());
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let exported = &lines.last().unwrap()["exported"];
        assert_eq!(exported["spans"], spans.len());
        assert_eq!(exported["dropped"], serde_json::json!({}));
        same_cycles(&spans, &lines);
        assert!(spans.iter().any(|span| span.name == "migration"));
    }
}

/// That each cycle, stage and state change of the lines is a span, with its times; by one offset between
/// the clocks.
fn same_cycles(spans: &[Span], lines: &[Value]) {
    let wall: Vec<(u64, u64)> = lines
        .iter()
        .filter(|line| line["type"] == "cycle")
        .map(|line| {
            let cycle = spans.iter().find(|span| {
                let of = |key| collector::number(span, key);
                span.name == "cycle"
                    && of("remap.trigger_id") == line["trigger_id"].as_u64()
                    && of("remap.region") == line["region"].as_u64()
            });
            let cycle = cycle.unwrap_or_else(|| panic!("no span of {line}"));
            let (begin, end) = (
                line["trigger_ns"].as_u64().unwrap(),
                line["released_ns"].as_u64(),
            );
            let took = cycle.end_time_unix_nano - cycle.start_time_unix_nano;
            assert!(end.is_none_or(|end| took == end - begin), "{line}");
            let stages = spans
                .iter()
                .filter(|span| span.parent_span_id == cycle.span_id);
            for stage in stages {
                let ended = line[format!("{}_ns", stage.name)].as_u64().unwrap();
                let since = stage.end_time_unix_nano - cycle.start_time_unix_nano;
                assert_eq!(since, ended - begin, "{} of {line}", stage.name);
                assert_eq!(stage.trace_id, cycle.trace_id);
            }
            let parent = spans
                .iter()
                .find(|span| span.span_id == cycle.parent_span_id);
            let change = line["transition"]["id"].as_u64();
            assert_eq!(
                parent.and_then(|parent| collector::number(parent, "remap.transition_id")),
                change
            );
            (cycle.start_time_unix_nano, begin)
        })
        .collect();
    let offsets: BTreeSet<u64> = wall
        .iter()
        .map(|(wall, monotonic)| wall - monotonic)
        .collect();
    // A migration of a device without the remap IRQ has none.
    assert!(offsets.len() <= 1, "{offsets:?}");
    let cycles = spans.iter().filter(|span| span.name == "cycle").count();
    assert_eq!(cycles, wall.len());
    let changes = spans
        .iter()
        .filter(|span| span.name.starts_with("change to "));
    let of_lines = lines.iter().filter(|line| line["type"] == "transition");
    assert_eq!(changes.count(), of_lines.count());
}

#[test]
#[ignore = "needs Prometheus; `cargo xtask test` fetches it, and runs this test"]
fn a_real_prometheus_agrees_with_the_lines() {
    let (address, lines) = replayed(RECORDINGS[0]);
    let dashboard = std::fs::read_to_string(root().join("docs/fleet/grafana.json")).unwrap();
    let dashboard = serde_json::from_str(&dashboard).unwrap();
    agree(&scraped(address, &dashboard), &lines);
}

#[test]
#[ignore = "needs promtool; `cargo xtask test` fetches it, and runs this test"]
fn promtool_accepts_what_is_served_and_documented() {
    let (address, _) = replayed(RECORDINGS[0]);
    let folder = root().join("docs/fleet");
    promtool(&["check", "config", "prometheus.yml"], &folder, None);
    promtool(&["check", "rules", "remap.rules.yml"], &folder, None);
    promtool(&["test", "rules", "remap.rules.test.yml"], &folder, None);
    promtool(
        &["check", "metrics"],
        &folder,
        Some(&older(&get(address, "/metrics"))),
    );
}

/// A page in the older format, which promtool reads: no units, no end, and a counter's whole name in
/// its description.
fn older(page: &str) -> String {
    let of_counter = |line: &str| {
        let name = line.split(' ').nth(2).unwrap_or_default();
        page.contains(&format!("# TYPE {name} counter\n"))
            .then(|| name.to_owned())
    };
    let lines = page
        .lines()
        .filter(|line| !line.starts_with("# UNIT") && *line != "# EOF");
    let lines = lines.map(|line| match of_counter(line) {
        Some(name) if line.starts_with('#') => {
            line.replacen(&name, &format!("{name}_total"), 1) + "\n"
        }
        _ => format!("{line}\n"),
    });
    lines.collect()
}
