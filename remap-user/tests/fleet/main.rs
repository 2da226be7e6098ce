//! What `--metrics` serves: a recording's cycles, with the times that its lines have, as text and as
//! a real Prometheus has scraped it. And that Prometheus accepts the files of docs/fleet.

mod lines;
mod programs;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use remap_core::{
    correlate::Options,
    metrics::Metered,
    pipeline::{Filter, Pipeline},
    replay::Recording,
    sink::json::Json,
};
use remap_user::metrics::serve;

use lines::expected;
use programs::{get, promtool, scraped};

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
    let folder = root().join("remap-core/tests/fixtures");
    let file = File::open(folder.join(name)).unwrap();
    let recording = Recording::open(BufReader::new(file)).unwrap();
    let options = Options {
        sees_consumers: recording.start.sees_consumers,
        interrupts: true,
        ..Options::default()
    };
    let (meter, address) = serve("0".parse().unwrap()).unwrap();
    let out = Shared::default();
    let sink = Metered::new(Json::new(out.clone()), Some(meter), (true, true));
    let names = recording.vm_names();
    let pipeline = Pipeline::new(options, Filter::default(), names, true, sink);
    recording.replay(pipeline).unwrap();
    let lines = String::from_utf8(std::mem::take(&mut *out.0.lock().unwrap())).unwrap();
    (address, lines)
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
