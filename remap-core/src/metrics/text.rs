//! The sums as OpenMetrics text.

use std::{
    fmt::{Debug, Error, Formatter},
    sync::{Arc, Mutex},
};

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet, text,
    },
    metrics::{MetricType, exemplar::Exemplar},
    registry::{Registry, Unit},
};

use super::{
    Histogram, Metrics,
    device::{Device, Result as Ended},
    histogram::seconds,
    index_label, meter, reasons,
};
use crate::{event::ResultName, model::FromTo};

/// What an exporter reports of its own process.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Its version.
    pub version: &'static str,
    /// When it began, s since 1970.
    pub start_s: f64,
    /// Processor time, ns; `None` if it cannot be read.
    pub cpu_ns: Option<u64>,
    /// Resident memory, bytes; `None` if it cannot be read.
    pub resident_bytes: Option<u64>,
    /// Answers to requests, by the status of HTTP.
    pub answers: Vec<(u16, u64)>,
    /// Spans, by what became of them; empty if none are sent.
    pub spans: Vec<(&'static str, u64)>,
}

/// Reads [`Own`].
type ReadOwn = Box<dyn Fn() -> Own + Send + Sync>;

/// Writes the sums down.
pub struct Exposition(Registry);

/// What it collects.
struct Source {
    total: Arc<Mutex<Metrics>>,
    own: ReadOwn,
}

impl Debug for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result<(), Error> {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Exposition {
    /// Of the sums of a [`Meter`](super::Meter). `own` is asked each time.
    pub fn new(total: Arc<Mutex<Metrics>>, own: impl Fn() -> Own + Send + Sync + 'static) -> Self {
        let own = Box::new(own);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Source { total, own }));
        Self(registry)
    }

    /// The text: `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    ///
    /// # Errors
    /// If the encoder refuses a value.
    pub fn text(&self) -> Result<String, Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.0)?;
        Ok(out)
    }
}

/// The labels of a series.
type Labels = Vec<(&'static str, String)>;

/// One family after the other.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn family(
        &mut self,
        (name, unit): (&str, Option<&Unit>),
        help: &str,
        kind: MetricType,
        mut write: impl FnMut(&mut MetricEncoder<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut encoder = self.0.encode_descriptor(name, help, unit, kind)?;
        write(&mut encoder)
    }

    fn counters<V: EncodeCounterValue>(
        &mut self,
        name: (&str, Option<&Unit>),
        help: &str,
        rows: impl IntoIterator<Item = (Labels, V)>,
    ) -> Result<(), Error> {
        let mut rows = Some(rows);
        self.family(name, help, MetricType::Counter, |encoder| {
            for (labels, value) in rows.take().into_iter().flatten() {
                let none = None::<&Exemplar<NoLabelSet, f64>>;
                encoder
                    .encode_family(&labels)?
                    .encode_counter(&value, none)?;
            }
            Ok(())
        })
    }

    fn counter<V: EncodeCounterValue>(
        &mut self,
        name: (&str, Option<&Unit>),
        help: &str,
        value: V,
    ) -> Result<(), Error> {
        self.counters(name, help, [(Labels::new(), value)])
    }

    fn gauge(
        &mut self,
        name: (&str, Option<&Unit>),
        help: &str,
        (labels, value): (Labels, impl EncodeGaugeValue),
    ) -> Result<(), Error> {
        self.family(name, help, MetricType::Gauge, |encoder| {
            encoder.encode_family(&labels)?.encode_gauge(&value)
        })
    }

    fn histograms<'h>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, &'h Histogram)>,
    ) -> Result<(), Error> {
        let mut rows = Some(rows);
        let name = (name, Some(&Unit::Seconds));
        self.family(name, help, MetricType::Histogram, |encoder| {
            for (labels, histogram) in rows.take().into_iter().flatten() {
                encoder
                    .encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(
                        histogram.sum(),
                        histogram.count(),
                        &histogram.buckets(),
                        None,
                    )?;
            }
            Ok(())
        })
    }
}

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Families(encoder);
        let total = meter::held(&self.total);
        cycles(&mut out, &total)?;
        changes(&mut out, &total)?;
        usage(&mut out, &total)?;
        account(&mut out, &total)?;
        drop(total);
        own(&mut out, &(self.own)())
    }
}

/// The rows of one kind of all devices, each with the device's label and its own.
fn rows<'m, K: 'm, V: 'm>(
    metrics: &'m Metrics,
    of: impl Fn(&'m Device) -> &'m std::collections::BTreeMap<K, V>,
    labels: impl Fn(&K) -> Labels,
) -> impl Iterator<Item = (Labels, &'m V)> {
    let devices = metrics.devices.iter();
    devices.flat_map(move |(name, device)| {
        let rows = of(device).iter();
        let rows: Vec<_> = rows
            .map(|(key, value)| {
                let mut all = vec![("device", name.clone())];
                all.extend(labels(key));
                (all, value)
            })
            .collect();
        rows
    })
}

fn cycles(out: &mut Families<'_>, metrics: &Metrics) -> Result<(), Error> {
    let region = |region: &u32| ("region", region.to_string());
    out.histograms(
        "remap_cycle_stage_duration",
        "Time from the stage before, in cycles of which every stage was observed.",
        rows(
            metrics,
            |device| &device.stages,
            |(of, stage)| vec![region(of), ("stage", stage.name().to_owned())],
        ),
    )?;
    out.histograms(
        "remap_cycle_duration",
        "Time from the trigger to the release, in cycles of which every stage was observed.",
        rows(metrics, |device| &device.cycles, |of| vec![region(of)]),
    )?;
    let outcomes = rows(
        metrics,
        |device| &device.outcomes,
        |(of, outcome)| vec![region(of), ("outcome", outcome.name().to_owned())],
    );
    out.counters(
        ("remap_cycles", None),
        "Cycles by outcome.",
        outcomes.map(copied),
    )
}

fn copied<L>((labels, count): (L, &u64)) -> (L, u64) {
    (labels, *count)
}

fn from_to(key: &FromTo) -> Labels {
    let name = |state: Option<_>| match state {
        Some(state) => crate::event::DeviceState::to_string(&state),
        None => "unknown".to_owned(),
    };
    vec![("from", name(key.from)), ("to", name(key.to))]
}

fn changes(out: &mut Families<'_>, metrics: &Metrics) -> Result<(), Error> {
    out.histograms(
        "remap_state_change_duration",
        "Time of state changes that succeeded.",
        rows(metrics, |device| &device.changes, from_to),
    )?;
    let results = rows(
        metrics,
        |device| &device.results,
        |(key, ended)| {
            let result = match ended {
                Ended::Ok => ResultName(Ok(())).to_string(),
                Ended::Failed(errno) => ResultName(Err(*errno)).to_string(),
                Ended::Unknown => "unknown".to_owned(),
            };
            [from_to(key), vec![("result", result)]].concat()
        },
    );
    let help = "State changes by result: ok, or the errno.";
    out.counters(("remap_state_changes", None), help, results.map(copied))?;
    let waited = rows(metrics, |device| &device.waited, from_to);
    out.counters(
        ("remap_state_change_waited", Some(&Unit::Seconds)),
        "Time of state changes that the driver spent waiting for user space.",
        waited.map(|(labels, ns)| (labels, seconds(*ns))),
    )
}

fn usage(out: &mut Families<'_>, metrics: &Metrics) -> Result<(), Error> {
    out.histograms(
        "remap_interrupt_latency",
        "Time from the first signal since the last read to the read by user space or the kernel.",
        rows(
            metrics,
            |device| &device.vectors,
            |(index, name, vector)| {
                vec![
                    ("irq", name.name().to_owned()),
                    ("index", index_label(*index)),
                    ("vector", vector.to_string()),
                ]
            },
        ),
    )?;
    let calls = rows(
        metrics,
        |device| &device.calls,
        |(call, errno)| {
            let result = ResultName(errno.map_or(Ok(()), Err)).to_string();
            vec![("call", (*call).to_owned()), ("result", result)]
        },
    );
    let help = "Calls on devices that returned, by result: ok, or the errno.";
    out.counters(("remap_calls", None), help, calls.map(copied))?;
    let findings = rows(
        metrics,
        |device| &device.findings,
        |rule| vec![("rule", rule.name().to_owned())],
    );
    let help = "Findings by rule.";
    out.counters(("remap_findings", None), help, findings.map(copied))
}

fn account(out: &mut Families<'_>, metrics: &Metrics) -> Result<(), Error> {
    if let Some(records) = &metrics.records {
        if let Some(seen) = records.seen {
            let help = "Records that the probes saw.";
            out.counter(("remap_records_seen", None), help, seen)?;
        }
        let help = "Records that reached the correlation.";
        out.counter(("remap_records_delivered", None), help, records.delivered)?;
        let lost = reasons().map(|reason| {
            let count = records.lost.get(reason).copied().unwrap_or(0);
            (vec![("reason", reason.to_owned())], count)
        });
        out.counters(
            ("remap_records_lost", None),
            "Lost records by reason.",
            lost,
        )?;
    }
    let help = "1 while hooks do not fire.";
    let blind = i64::from(metrics.blind == Some(true));
    out.gauge(("remap_blind", None), help, (Labels::new(), blind))?;
    let beyond = metrics.beyond;
    let help = "Values that were not counted, because their series had no room.";
    out.counter(("remap_metrics_left_out", None), help, beyond.values)?;
    let help = "Devices whose series were removed, because another one needed the room.";
    out.counter(
        ("remap_metrics_evicted_devices", None),
        help,
        beyond.devices,
    )
}

fn own(out: &mut Families<'_>, own: &Own) -> Result<(), Error> {
    let answers = own.answers.iter().map(|(status, count)| {
        let labels = vec![("status", status.to_string())];
        (labels, *count)
    });
    let help = "Answers to earlier requests by HTTP status.";
    out.counters(("remap_http_answers", None), help, answers)?;
    if !own.spans.is_empty() {
        let spans = own.spans.iter().map(|(result, count)| {
            let labels = vec![("result", (*result).to_owned())];
            (labels, *count)
        });
        let help = "Spans for the collector: sent, or why they were dropped.";
        out.counters(("remap_spans", None), help, spans)?;
    }
    let help = "The version of remap.";
    let version = vec![("version", own.version.to_owned())];
    out.gauge(("remap_build_info", None), help, (version, 1_i64))?;
    let start = (Labels::new(), own.start_s);
    let unit = Some(&Unit::Seconds);
    out.gauge(("process_start_time", unit), "When it began.", start)?;
    if let Some(ns) = own.cpu_ns {
        let help = "Processor time of this process; not that of the probes.";
        out.counter(("process_cpu", unit), help, seconds(ns))?;
    }
    if let Some(bytes) = own.resident_bytes {
        let bytes = (Labels::new(), i64::try_from(bytes).unwrap_or(i64::MAX));
        let unit = Some(&Unit::Bytes);
        out.gauge(("process_resident_memory", unit), "Resident memory.", bytes)?;
    }
    Ok(())
}
