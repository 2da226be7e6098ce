//! OTLP/JSON: spans as the OpenTelemetry protocol has them. A line of a file is a `TracesData`, as the collector's
//! `otlpjsonfile` receiver reads it; it is also the body of an `ExportTraceServiceRequest` over HTTP.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>: ids are hexadecimal, 64-bit numbers strings.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{
    derived::Value,
    span::{Moment, Span, Spans},
};
use crate::perfdata::Origin;

/// How many spans are in a line.
const BATCH: usize = 256;

/// Writes lines of spans.
#[derive(Debug)]
pub struct Otlp<W> {
    writer: W,
    resource: Json,
    spans: Vec<Span>,
}

impl<W: Write> Otlp<W> {
    /// Writes to `writer` spans of a trace that was made there.
    pub fn new(writer: W, origin: &Origin) -> Self {
        Self {
            writer,
            resource: resource(origin),
            spans: Vec::new(),
        }
    }

    fn line(&mut self) -> io::Result<()> {
        let spans = std::mem::take(&mut self.spans);
        if spans.is_empty() {
            return Ok(());
        }
        serde_json::to_writer(&mut self.writer, &traces(&self.resource, &spans))?;
        self.writer.write_all(b"\n")
    }
}

impl<W: Write> Spans for Otlp<W> {
    fn span(&mut self, span: Span) -> io::Result<()> {
        self.spans.push(span);
        match self.spans.len() >= BATCH {
            true => self.line(),
            false => Ok(()),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.line()?;
        self.writer.flush()
    }
}

/// The resource that spans are of: the machine. Without clocks it says that times are CLOCK_MONOTONIC.
pub fn resource(origin: &Origin) -> Json {
    let machine = &origin.machine;
    let text = |key: &str, text: &str| {
        let value = Value::Text(text.to_owned());
        (!text.is_empty()).then(|| attribute(key, &value))
    };
    let clock = match origin.clocks {
        Some(_) => "CLOCK_REALTIME",
        None => "CLOCK_MONOTONIC",
    };
    let attributes = [
        text("service.name", "remap"),
        text("host.name", &machine.host),
        text("os.type", "linux"),
        text("os.version", &machine.kernel),
        text("remap.clock", clock),
    ];
    let attributes: Vec<Json> = attributes.into_iter().flatten().collect();
    json!({ "attributes": attributes })
}

/// Spans of a resource: a `TracesData`.
pub fn traces(resource: &Json, spans: &[Span]) -> Json {
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let scope = json!({ "name": "remap", "version": env!("CARGO_PKG_VERSION") });
    json!({ "resourceSpans": [{
        "resource": resource,
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] })
}

fn span(span: &Span) -> Json {
    let mut json = json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "name": span.name,
        // SPAN_KIND_INTERNAL
        "kind": 1,
        "startTimeUnixNano": span.begin_ns.to_string(),
        "endTimeUnixNano": span.end_ns.to_string(),
        "attributes": attributes(&span.attributes),
        "events": span.events.iter().map(event).collect::<Vec<_>>(),
        "droppedEventsCount": span.dropped_events,
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = hex(&parent).into();
    }
    if let Some(errno) = &span.failed {
        // STATUS_CODE_ERROR
        json["status"] = json!({ "code": 2, "message": errno });
    }
    json
}

fn event(moment: &Moment) -> Json {
    json!({
        "timeUnixNano": moment.time_ns.to_string(),
        "name": moment.name,
        "attributes": attributes(&moment.attributes),
    })
}

fn attributes(attributes: &[(String, Value)]) -> Vec<Json> {
    let attributes = attributes.iter();
    attributes
        .map(|(key, value)| attribute(key, value))
        .collect()
}

fn attribute(key: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => match i64::try_from(*number) {
            Ok(number) => json!({ "intValue": number.to_string() }),
            Err(_) => json!({ "stringValue": number.to_string() }),
        },
    };
    json!({ "key": key, "value": value })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
