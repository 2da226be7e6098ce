//! The HTTP server: one page, few connections, and no reader that is waited for.

use std::{
    convert::Infallible,
    io,
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use remap_core::metrics::{Exposition, Metrics};
use tokio::{net, sync::Semaphore, time};

use super::own::{self, Answers};
use crate::{confine::disarm_thread, exit::Error, http::Whole, otlp::Queue, threads};

/// So many connections are served at a time; further ones wait in the kernel.
const CONNECTIONS: usize = 16;
/// How long a connection may last: a reader that is slower gets no more.
const LONGEST: Duration = Duration::from_secs(10);
/// While so many bytes wait for readers, there is no further page: the status is 503.
const WAITING: usize = 16 << 20;
/// How many bytes the head of a request may have.
const HEAD: usize = 16 << 10;
/// After an error of accept(2), such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Starts the thread that serves.
///
/// # Errors
/// If the system refuses a thread, or what a reactor needs.
pub fn start(
    listener: TcpListener,
    total: Arc<Mutex<Metrics>>,
    spans: Option<Queue>,
) -> Result<(), Error> {
    let started = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        listener.set_nonblocking(true)?;
        let entered = runtime.enter();
        let listener = net::TcpListener::from_std(listener)?;
        drop(entered);
        let page = Page::new(total, spans);
        threads::spawn(move || {
            let _ = disarm_thread();
            runtime.block_on(accept(listener, page));
        })
    };
    started()
        .map(drop)
        .map_err(|error: io::Error| threads::refused(&error))
}

async fn accept(listener: net::TcpListener, page: Page) {
    let page = Arc::new(page);
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(PAUSE).await;
            continue;
        };
        let page = Arc::clone(&page);
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let answer = page.answer(request.method(), request.uri().path());
                page.answers.count(answer.status().as_u16());
                std::future::ready(Ok::<_, Infallible>(answer))
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(HEAD)
                .serve_connection(TokioIo::new(stream), answer);
            // Its reader has gone, was too slow, or wrote no HTTP.
            let _ = time::timeout(LONGEST, connection).await;
            drop(place);
        });
    }
}

/// What is served.
struct Page {
    exposition: Exposition,
    answers: Answers,
    /// Bytes that wait for readers.
    waiting: Arc<AtomicUsize>,
}

impl Page {
    fn new(total: Arc<Mutex<Metrics>>, spans: Option<Queue>) -> Self {
        let answers = Answers::default();
        Self {
            exposition: Exposition::new(total, own::reader(answers.clone(), spans)),
            answers,
            waiting: Arc::default(),
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Whole> {
        if path != "/metrics" {
            return plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n");
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
            answer.headers_mut().insert(ALLOW, header("GET, HEAD"));
            return answer;
        }
        let busy = || {
            let text = "other readers are too slow\n";
            let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, text);
            answer.headers_mut().insert(RETRY_AFTER, header("10"));
            answer
        };
        if self.waiting.load(Ordering::Acquire) >= WAITING {
            return busy();
        }
        match self.exposition.text() {
            Ok(text) => {
                let text = Waiting::new(text.into_bytes(), &self.waiting);
                with(StatusCode::OK, OPEN_METRICS, Bytes::from_owner(text))
            }
            Err(_) => busy(),
        }
    }
}

fn header(text: &'static str) -> hyper::header::HeaderValue {
    hyper::header::HeaderValue::from_static(text)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Whole> {
    with(status, PLAIN, Bytes::from_static(text.as_bytes()))
}

fn with(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Whole> {
    let mut answer = Response::new(Whole::new(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, header(kind));
    answer
}

/// Bytes that are counted until they are sent.
struct Waiting {
    bytes: Vec<u8>,
    all: Arc<AtomicUsize>,
}

impl Waiting {
    fn new(bytes: Vec<u8>, all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(bytes.len(), Ordering::AcqRel);
        Self {
            bytes,
            all: Arc::clone(all),
        }
    }
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes.len(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpStream},
    };

    use remap_core::{account::Account, metrics::Meter};

    use super::*;

    fn served() -> (SocketAddr, Meter) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let meter = Meter::default();
        start(listener, meter.total(), None).unwrap();
        (address, meter)
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(2 * LONGEST)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // A connection that is reset has no more to say.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn only_one_page_is_served() {
        let (address, mut meter) = served();
        meter.count(|metrics| {
            metrics.account(&Account {
                delivered: 42,
                ..Account::default()
            });
        });
        let page = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(page.contains("content-type: application/openmetrics-text"));
        assert!(page.contains("\nremap_records_delivered_total 42\n"));
        assert!(page.ends_with("# EOF\n"));
        let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(head.contains("200 OK") && !head.contains("# EOF"));
        let other = ask(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(other.starts_with("HTTP/1.1 404"), "{other}");
        let post = ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(post.starts_with("HTTP/1.1 405") && post.contains("allow: GET"));
        let page = ask(address, "GET /metrics HTTP/1.0\r\n\r\n");
        assert!(
            page.contains("\nremap_http_answers_total{status=\"404\"} 1\n"),
            "{page}"
        );
    }

    #[test]
    fn what_is_no_http_ends_its_connection_only() {
        let (address, _meter) = served();
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(4 * HEAD));
        for wrong in ["\x16\x03\x01\x02\r\n\r\n", "GET\r\n\r\n", long.as_str()] {
            let answer = ask(address, wrong);
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
                "{answer}"
            );
        }
        let page = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn a_reader_that_says_nothing_holds_up_none_of_the_others() {
        let (address, _meter) = served();
        let silent: Vec<_> = (1..CONNECTIONS)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let page = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(page.ends_with("# EOF\n"));
        drop(silent);
    }

    #[test]
    fn there_is_no_page_while_too_many_bytes_wait() {
        let page = Page::new(Meter::default().total(), None);
        let held = Waiting::new(vec![0; WAITING], &page.waiting);
        assert_eq!(page.answer(&Method::GET, "/metrics").status(), 503);
        drop(held);
        assert_eq!(page.answer(&Method::GET, "/metrics").status(), 200);
        assert_eq!(
            page.waiting.load(Ordering::Acquire),
            0,
            "it was not read, and is gone"
        );
    }
}
