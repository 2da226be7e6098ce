//! A collector that decodes what it gets with the messages of OTLP's own project.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message as _;

/// Serves until the test ends: its address, and the requests that it gets.
pub fn start() -> (SocketAddr, Receiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (got, gets) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = serve(stream.unwrap(), &got);
        }
    });
    (address, gets)
}

fn serve(mut stream: TcpStream, got: &Sender<ExportTraceServiceRequest>) -> Option<()> {
    loop {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).ok()?.to_lowercase();
        let length = head.split("content-length: ").nth(1)?.lines().next()?;
        let mut body = vec![0; length.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        got.send(ExportTraceServiceRequest::decode(body.as_slice()).unwrap())
            .ok()?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}

/// Every span of requests.
pub fn spans(requests: impl Iterator<Item = ExportTraceServiceRequest>) -> Vec<Span> {
    let resources = requests.flat_map(|request| request.resource_spans);
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// A number among the attributes of a span.
pub fn number(span: &Span, key: &str) -> Option<u64> {
    let mut attributes = span.attributes.iter();
    let value = attributes
        .find(|attribute| attribute.key == key)?
        .value
        .as_ref()?;
    match value.value {
        Some(Value::IntValue(number)) => number.try_into().ok(),
        _ => None,
    }
}
