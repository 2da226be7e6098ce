//! Spans as messages of OTLP.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, SpanKind},
        status::StatusCode,
    },
};
use remap_core::export::{derived::Value, span};

fn attribute((key, value): (&str, &Value)) -> KeyValue {
    let value = match value {
        Value::Text(text) => any_value::Value::StringValue(text.clone()),
        Value::Number(number) => match i64::try_from(*number) {
            Ok(number) => any_value::Value::IntValue(number),
            // OTLP has no larger one.
            Err(_) => any_value::Value::StringValue(number.to_string()),
        },
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn attributes(of: &[(String, Value)]) -> Vec<KeyValue> {
    of.iter()
        .map(|(key, value)| attribute((key, value)))
        .collect()
}

/// A span.
pub fn span(span: &span::Span) -> Span {
    let event = |moment: &span::Moment| Event {
        time_unix_nano: moment.time_ns,
        name: moment.name.clone(),
        attributes: attributes(&moment.attributes),
        ..Event::default()
    };
    Span {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id.to_vec(),
        parent_span_id: span.parent.map_or_else(Vec::new, |id| id.to_vec()),
        name: span.name.clone(),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: span.begin_ns,
        end_time_unix_nano: span.end_ns,
        attributes: attributes(&span.attributes),
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.dropped_events,
        status: span.failed.as_ref().map(|why| Status {
            message: why.clone(),
            code: StatusCode::Error as i32,
        }),
        ..Span::default()
    }
}

/// Who sends: the host by its name, where that can be read.
pub fn resource() -> Resource {
    let version = env!("CARGO_PKG_VERSION");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.map(|name| ("host.name", Value::Text(name.trim_end().to_owned())));
    let own = [
        ("service.name", Value::Text("remap".to_owned())),
        ("service.version", Value::Text(version.to_owned())),
    ];
    let all = own.iter().chain(&host);
    Resource {
        attributes: all.map(|(key, value)| attribute((key, value))).collect(),
        ..Resource::default()
    }
}

/// What is sent.
pub fn request(resource: &Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "remap".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}
