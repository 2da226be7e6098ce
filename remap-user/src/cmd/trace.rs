//! `remap trace`: a live session into stdout.

use std::path::PathBuf;

use clap::Args;
use remap_core::{
    metrics::Meter,
    sink::{Sink, json::Json, observe::Observed, table::Identity},
};

use crate::{
    cmd::{
        format::Format,
        outbox::{self, Outbox},
        recording::{self, Destination},
        select::{Lines, Shown, text},
        tracing::{Began, Tracing, Wanted},
        writer::{Bounded, Writer},
    },
    exit::Error,
    metrics,
    otlp::{self, Exporter},
};

/// Shows remap cycles, state changes and findings of every VFIO device, live.
///
/// Changes nothing on the system and opens no device. Ends at Ctrl-C, after --duration, or when the
/// reader of its output exits; then writes a summary. A second Ctrl-C ends it at once, without one.
///
/// Its queues and tables hold at most 64 MiB, beside the ring (--buffer). Records that it cannot
/// follow are lost, lines that the reader of its output does not read are dropped (exit code 4),
/// and both are counted and marked where they are missing.
#[derive(Args, Debug)]
pub struct Trace {
    #[command(flatten)]
    tracing: Tracing,
    #[command(flatten)]
    lines: Lines,
    #[command(flatten)]
    shown: Shown,
    /// Write a recording too, which `remap report` and perf read.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Serve what is counted as OpenMetrics, at http://ADDR/metrics: to Prometheus, for example.
    ///
    /// ADDR is a port of 127.0.0.1, or an IP address with a port. It is served until the trace ends,
    /// without encryption and to any reader: choose an address that other hosts can reach only in a
    /// network that you trust.
    #[arg(long, value_name = "ADDR")]
    metrics: Option<metrics::Address>,
    /// Send spans to an OpenTelemetry collector, as they end: cycles, stages, state changes, migrations
    /// and findings.
    ///
    /// OTLP over HTTP, as in http://127.0.0.1:4318; the path is /v1/traces unless the URL has another. A
    /// collector that is slow or gone delays nothing: up to 8192 spans wait for it, and it is tried for a
    /// minute. The rest is dropped and counted. The end of the trace waits for it for 2 s.
    #[arg(long, value_name = "URL")]
    otlp: Option<otlp::Endpoint>,
    /// Overwrite the file of --record.
    #[arg(long, requires = "record")]
    force: bool,
}

impl Trace {
    /// Traces until it is ended.
    ///
    /// # Errors
    /// If an argument is wrong, the trace fails, or records were lost and `--fail-on-loss` is set.
    pub fn run(self) -> Result<(), Error> {
        self.tracing.run(self.trace())
    }

    async fn trace(&self) -> Result<(), Error> {
        self.tracing.check()?;
        let record = self.record.as_deref();
        let record = record
            .map(|path| recording::create(path, self.force))
            .transpose()?;
        // Before the probes are attached: a port in use is an early error.
        let exporter = self.otlp.as_ref().map(Exporter::start).transpose()?;
        let queue = exporter.as_ref().map(Exporter::queue);
        let serve = |address| metrics::serve(address, queue);
        let served = self.metrics.map(serve).transpose()?;
        let meter = served.map(|(meter, _)| meter);
        let began = self.tracing.begin().await?;
        let outbox = Outbox::start(Format::new(self.shown.json))?;
        let out = Writer::new(outbox.clone());
        let summary = if self.shown.json {
            let sink = Observed::new(Json::new(out), Bounded(outbox.clone()));
            self.follow(began, (record, meter, exporter), sink, &outbox)
                .await
        } else {
            let sink = text(out, began.start_ns);
            let sink = Observed::new(sink, Bounded(outbox.clone()));
            self.follow(began, (record, meter, exporter), sink, &outbox)
                .await
        };
        // The error of the output first: it also fails the trace.
        let unread = outbox.finish()?;
        let summary = summary?;
        self.tracing.judge(&summary)?;
        outbox::unread(unread, &format!(" ({})", Identity(&summary)))
    }

    async fn follow<S: Sink>(
        &self,
        began: Began,
        (record, meter, exporter): (Option<Destination>, Option<Meter>, Option<Exporter>),
        sink: S,
        outbox: &Outbox,
    ) -> Result<remap_core::model::Summary, Error> {
        let stop = std::sync::Arc::clone(&began.stop);
        let end = async {
            tokio::select! {
                () = self.tracing.ended(&stop) => {}
                () = outbox.gone() => {}
            }
        };
        let wanted = Wanted {
            selection: self.lines.selection(),
            events: self.shown.events,
            stages: self.shown.stages,
            recording: record.map(Destination::begin).transpose()?,
            meter,
            launcher: None,
            exporter,
        };
        self.tracing.follow(began, wanted, sink, end).await
    }
}
