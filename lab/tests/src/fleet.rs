//! What the engines of a fleet get of a trace, compared with its own lines.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use remap_core::model::Stage;

use crate::rig::lab::Lab;
use crate::rig::process::{remap, run};
use crate::rig::trace::{Trace, Traced};
use crate::rig::{PATIENCE, until};
use crate::{ONCE, Test};

pub fn tests() -> Vec<Test> {
    vec![Test::new(
        "fleet::a_scrape_and_spans_agree_with_the_lines",
        ONCE,
        scrape,
    )]
}

const ADDRESS: &str = "127.0.0.1:9464";
/// The cycles of a drill.
const CYCLES: u64 = 30;
/// The regions that a drill has remapped in each: three are trapped, and given back.
const REGIONS: u64 = 6;

/// The values of a page by series.
type Series = BTreeMap<String, f64>;

/// Reads the page.
fn page() -> Result<Series> {
    let mut stream = TcpStream::connect(ADDRESS).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: lab\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    let (head, text) = page.split_once("\r\n\r\n").context("no end of the head")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    ensure!(text.ends_with("# EOF\n"), "the page is cut off");
    let values = text.lines().filter(|line| !line.starts_with('#'));
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ').context("no value")?;
        Ok((series.to_owned(), value.parse()?))
    };
    values.map(value).collect()
}

/// The sum of all series of a name.
fn sum(page: &Series, name: &str) -> f64 {
    let of_name = |series: &&String| series.split('{').next() == Some(name);
    page.keys().filter(of_name).map(|series| page[series]).sum()
}

/// A collector of one exporter: its URL, and the spans that it gets.
fn collector() -> Result<(String, Receiver<Span>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (got, gets) = channel();
    thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        loop {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte)?;
                head.push(byte[0]);
            }
            let head = String::from_utf8(head)?.to_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next());
            let mut body = vec![0; length.context("no length")?.parse()?];
            stream.read_exact(&mut body)?;
            let request = ExportTraceServiceRequest::decode(body.as_slice())?;
            let resources = request.resource_spans.into_iter();
            let scopes = resources.flat_map(|resource| resource.scope_spans);
            for span in scopes.flat_map(|scope| scope.spans) {
                let _ = got.send(span);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
    });
    Ok((url, gets))
}

fn scrape(lab: &mut Lab) -> Result<()> {
    let (url, spans) = collector()?;
    let arguments = ["--metrics", ADDRESS, "--otlp", &url, "--fail-on-loss"];
    let trace = Trace::start(&arguments)?;
    let taken = run(remap(&["trace", "--metrics", ADDRESS]))?;
    taken.fails(1, &["EADDRINUSE", "choose another port"])?;
    // One scrape after the other while the device is busiest.
    let drilled = thread::scope(|scope| {
        let drill = scope.spawn(|| lab.drill(&["--cycles", &CYCLES.to_string()]));
        while !drill.is_finished() {
            page()?;
        }
        drill
            .join()
            .map_err(|_| anyhow::anyhow!("the drill panicked"))?
    })?;
    drilled.expect(0)?;
    let page = until("every cycle to be in the page", || {
        let page = page()?;
        let all = sum(&page, "remap_cycles_total") >= (CYCLES * REGIONS) as f64;
        Ok(all.then_some(page))
    })?;
    let traced = trace.end(0)?;
    agree(&page, &traced)?;
    sent(&spans.try_iter().collect::<Vec<_>>(), &traced)
}

/// That the collector has got the cycles of the lines, each as long as there.
fn sent(spans: &[Span], Traced { lines, summary }: &Traced) -> Result<()> {
    let exported = summary.exported.as_ref().context("nothing was sent")?;
    let count = spans.len() as u64;
    ensure!(
        exported.spans == count && exported.dropped.is_empty(),
        "{exported:?}, {count} spans"
    );
    let lengths = |name: &str| {
        let named = spans.iter().filter(|span| span.name == name);
        let mut all: Vec<_> = named
            .map(|span| span.end_time_unix_nano - span.start_time_unix_nano)
            .collect();
        all.sort_unstable();
        all
    };
    let mut cycles: Vec<_> = lines
        .cycles()
        .filter_map(|cycle| cycle.stages.total())
        .collect();
    cycles.sort_unstable();
    ensure!(lengths("cycle") == cycles, "the cycles differ");
    for stage in Stage::ALL {
        let times = lines
            .cycles()
            .filter_map(|cycle| cycle.stages.duration(*stage));
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        ensure!(
            lengths(stage.name()) == times,
            "the stages {} differ",
            stage.name()
        );
    }
    Ok(())
}

/// That the page has what the lines have.
fn agree(page: &Series, Traced { lines, summary }: &Traced) -> Result<()> {
    let mut expected = Series::new();
    let mut add = |series: String, value: f64| *expected.entry(series).or_default() += value;
    for cycle in lines.cycles() {
        let of = format!("device=\"{}\",region=\"{}\"", cycle.device, cycle.region);
        let outcome = cycle.outcome.name();
        add(
            format!("remap_cycles_total{{{of},outcome=\"{outcome}\"}}"),
            1.0,
        );
        for stage in Stage::ALL {
            if let Some(ns) = cycle.stages.duration(*stage) {
                let of = format!("{of},stage=\"{}\"", stage.name());
                add(
                    format!("remap_cycle_stage_duration_seconds_sum{{{of}}}"),
                    ns as f64,
                );
                add(
                    format!("remap_cycle_stage_duration_seconds_count{{{of}}}"),
                    1.0,
                );
            }
        }
    }
    ensure!(expected.len() > 20, "{expected:?}");
    for (series, value) in &expected {
        let there = page
            .get(series)
            .with_context(|| format!("{series} is missing"))?;
        let value = match series.contains("_seconds_sum") {
            true => value / 1e9,
            false => *value,
        };
        ensure!(
            (there - value).abs() < 1e-9,
            "{series}: {there}, and {value} by the lines"
        );
    }
    let changes = summary.stats.transitions();
    ensure!(
        sum(page, "remap_state_changes_total") == changes as f64,
        "of {changes} changes"
    );
    ensure!(sum(page, "remap_records_lost_total") == 0.0);
    let (delivered, seen) = (
        sum(page, "remap_records_delivered_total"),
        summary.delivered,
    );
    ensure!(
        delivered > 0.0 && delivered <= seen as f64,
        "{delivered} of {seen} records"
    );
    ensure!(sum(page, "remap_calls_total") > 0.0 && sum(page, "process_cpu_seconds_total") > 0.0);
    Ok(())
}
