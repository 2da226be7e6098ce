//! The exporter against collectors of every kind.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    trace::v1::Span as Message,
};
use prost::Message as _;

use super::*;

/// Reads one request; the number of its spans.
fn request(stream: &mut TcpStream) -> Option<usize> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"));
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
    Some(scopes.map(|scope| scope.spans.len()).sum())
}

/// A collector that gives these answers, one after the other, and ends. Also the numbers of spans that it
/// got.
fn collector(answers: Vec<Vec<u8>>) -> (Endpoint, Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (got, gets) = channel();
    thread::spawn(move || {
        let mut answers = answers.into_iter().peekable();
        while answers.peek().is_some() {
            let (mut stream, _) = listener.accept().unwrap();
            while answers.peek().is_some() {
                let Some(spans) = request(&mut stream) else {
                    break;
                };
                got.send(spans).unwrap();
                stream.write_all(&answers.next().unwrap()).unwrap();
            }
        }
    });
    (endpoint.parse().unwrap(), gets)
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends this many spans, and ends.
fn export(endpoint: &Endpoint, spans: usize) -> Counts {
    let exporter = Exporter::start(endpoint).unwrap();
    (0..spans).for_each(|_| exporter.queue.push(Message::default()));
    exporter.queue.finish(LAST)
}

#[test]
fn a_collector_that_accepts_gets_every_span() {
    let (endpoint, got) = collector(vec![answer("200 OK", b""); 3]);
    let counts = export(&endpoint, 2 * queue::BATCH + 1);
    assert_eq!(counts.sent, 2 * queue::BATCH as u64 + 1);
    assert!(counts.dropped.is_empty(), "{counts:?}");
    assert_eq!(got.iter().sum::<usize>(), 2 * queue::BATCH + 1);
}

#[test]
fn a_busy_collector_is_asked_again() {
    let busy = "503 Service Unavailable\r\nretry-after: 0";
    let answers = vec![answer(busy, b""), answer("200 OK", b"")];
    let (endpoint, got) = collector(answers);
    let exporter = Exporter::start(&endpoint).unwrap();
    exporter.queue.push(Message::default());
    assert_eq!((got.recv().unwrap(), got.recv().unwrap()), (1, 1));
    assert_eq!(exporter.queue.finish(LAST).sent, 1);
}

#[test]
fn what_a_collector_refuses_is_counted() {
    let (endpoint, _got) = collector(vec![answer("400 Bad Request", b"no")]);
    assert_eq!(export(&endpoint, 3).dropped, [("rejected", 3)].into());
    let partial = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "too old".to_owned(),
        }),
    };
    let (endpoint, _got) = collector(vec![answer("200 OK", &partial.encode_to_vec())]);
    let counts = export(&endpoint, 3);
    assert_eq!((counts.sent, counts.dropped), (1, [("rejected", 2)].into()));
}

#[test]
fn a_collector_that_is_not_there_delays_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let begin = Instant::now();
    let counts = export(&endpoint.parse().unwrap(), 3);
    assert_eq!(counts.dropped, [("given_up", 3)].into());
    assert!(begin.elapsed() < LAST);
}

#[test]
fn a_collector_that_never_answers_is_waited_for_briefly() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let begin = Instant::now();
    let counts = export(&endpoint.parse().unwrap(), 3);
    assert_eq!(counts.dropped, [("unsent", 3)].into());
    assert!((LAST..2 * LAST).contains(&begin.elapsed()));
}

#[test]
fn a_collector_that_dies_in_its_answer_is_asked_again() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let exporter = Exporter::start(&endpoint.parse().unwrap()).unwrap();
    exporter.queue.push(Message::default());
    for answer in [cut, answer("200 OK", b"")] {
        let (mut stream, _) = listener.accept().unwrap();
        assert_eq!(request(&mut stream), Some(1));
        stream.write_all(&answer).unwrap();
    }
    assert_eq!(exporter.queue.finish(LAST).sent, 1);
}
