//! Sends batches of spans, and tries again as OTLP/HTTP wants it.

use std::{io, time::Duration};

use bytes::Bytes;
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
    client::conn::http1::{SendRequest, handshake},
    header::{CONTENT_TYPE, HOST, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceResponse, resource::v1::Resource,
};
use prost::Message as _;
use remap_core::event::Errno;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    endpoint::Target,
    queue::{Dropped, Queue},
    wire,
};
use crate::{confine::disarm_sender, exit::say, http::Whole, threads};

/// How long a span waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWERING: Duration = Duration::from_secs(10);
/// How long a batch is tried.
const TRYING: Duration = Duration::from_secs(60);
/// The first pause between two tries; each one is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How many bytes of an answer are read.
const ANSWER: usize = 64 << 10;

/// Starts the thread that sends.
pub fn start(target: Target, queue: Queue) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut client = Client {
        resource: wire::resource(),
        target,
        queue,
        connection: None,
        reported: false,
    };
    let started = threads::spawn(move || {
        let ports = client.target.addresses.iter().map(|address| address.port());
        let _ = disarm_sender(&ports.collect::<Vec<_>>());
        runtime.block_on(client.run());
    });
    started.map(drop)
}

/// Why a batch is not sent.
enum Failure {
    /// It may be later; with the pause that the collector asks for.
    Later(String, Option<Duration>),
    /// It will never be.
    Never(String),
}

struct Client {
    target: Target,
    resource: Resource,
    queue: Queue,
    connection: Option<SendRequest<Whole>>,
    /// Whether a failure was reported since the last success.
    reported: bool,
}

impl Client {
    async fn run(&mut self) {
        loop {
            let spans = self.queue.next(GATHER).await;
            let count = spans.len() as u64;
            let bytes = Bytes::from(wire::request(&self.resource, spans).encode_to_vec());
            let (sent, dropped) = self.send(&bytes, count).await;
            self.queue.settle(sent, dropped);
        }
    }

    /// How many spans of a batch were sent, and why the others were not.
    async fn send(&mut self, bytes: &Bytes, count: u64) -> (u64, (Dropped, u64)) {
        let end = Instant::now() + TRYING;
        let mut pause = PAUSE;
        loop {
            match self.post(bytes.clone()).await {
                Ok(rejected) => {
                    self.reported = false;
                    let rejected = rejected.min(count);
                    return (count - rejected, (Dropped::Rejected, rejected));
                }
                Err(Failure::Never(why)) => {
                    self.report(&why);
                    return (0, (Dropped::Rejected, count));
                }
                Err(Failure::Later(why, asked)) => {
                    self.report(&why);
                    // It may have been closed meanwhile.
                    self.connection = None;
                    let wait = asked.unwrap_or(pause + jitter(pause)).min(LONGEST_PAUSE);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    if self.queue.is_closing() || Instant::now() + wait > end {
                        return (0, (Dropped::GivenUp, count));
                    }
                    self.rest(wait).await;
                }
            }
        }
    }

    /// Pauses; the end of the trace ends the pause.
    async fn rest(&self, wait: Duration) {
        let closing = async {
            while !self.queue.is_closing() {
                self.queue.changed().await;
            }
        };
        let _ = timeout(wait, closing).await;
    }

    /// Once, until it works again.
    fn report(&mut self, why: &str) {
        if !std::mem::replace(&mut self.reported, true) {
            say(format_args!(
                "--otlp: sending spans to {} failed: {why}; what cannot be sent is counted",
                self.target.host
            ));
        }
    }

    /// Sends one request. Returns how many spans of it the collector rejects.
    async fn post(&mut self, bytes: Bytes) -> Result<u64, Failure> {
        let later = |why: String| Failure::Later(why, None);
        let request = Request::post(self.target.path.as_str())
            .header(HOST, &self.target.host)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Whole::new(bytes));
        let request = request.map_err(|error| Failure::Never(error.to_string()))?;
        let mut connection = match self.connection.take().filter(|known| !known.is_closed()) {
            Some(connection) => connection,
            None => timeout(CONNECTING, self.connect())
                .await
                .map_err(|_| later("connecting took too long".to_owned()))??,
        };
        let exchange = async {
            let answer = connection.send_request(request).await?;
            let status = answer.status();
            let asked = asked_pause(&answer);
            Ok::<_, hyper::Error>((status, asked, body(answer).await?))
        };
        let answered = timeout(ANSWERING, exchange).await;
        let answered = answered.map_err(|_| later("there is no answer".to_owned()))?;
        let (status, asked, body) = answered.map_err(|error| later(error.to_string()))?;
        self.connection = Some(connection);
        match status {
            status if status.is_success() => Ok(rejected(&body)),
            // The statuses that OTLP names.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Failure::Later(format!("HTTP {status}"), asked)),
            status => Err(Failure::Never(format!("HTTP {status}"))),
        }
    }

    async fn connect(&self) -> Result<SendRequest<Whole>, Failure> {
        let mut failed = "it has no address".to_owned();
        for address in &self.target.addresses {
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    failed = format!("connecting to {address}: {}", Errno::of(&error));
                    continue;
                }
            };
            let (connection, driver) = handshake(TokioIo::new(stream))
                .await
                .map_err(|error| Failure::Later(error.to_string(), None))?;
            tokio::spawn(async move {
                // Its error is that of the request.
                let _ = driver.await;
            });
            return Ok(connection);
        }
        Err(Failure::Later(failed, None))
    }
}

/// Up to a half of the pause: collectors of many hosts are not tried in one moment.
fn jitter(pause: Duration) -> Duration {
    let now = crate::live::clock::monotonic_ns().unwrap_or(0);
    pause.mul_f64((now / 1000 % 1000) as f64 / 2000.0)
}

/// The pause that an answer asks for; only in seconds.
fn asked_pause(answer: &Response<Incoming>) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// The begin of a body.
async fn body(answer: Response<Incoming>) -> Result<Vec<u8>, hyper::Error> {
    let mut incoming = std::pin::pin!(answer.into_body());
    let mut bytes = Vec::new();
    loop {
        let frame = std::future::poll_fn(|context| incoming.as_mut().poll_frame(context)).await;
        let Some(frame) = frame.transpose()? else {
            return Ok(bytes);
        };
        if let Some(data) = frame.data_ref()
            && bytes.len() + data.len() <= ANSWER
        {
            bytes.extend_from_slice(data);
        }
    }
}

/// How many spans of a request an answer rejects.
fn rejected(body: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(body).ok();
    let partial = answer.and_then(|answer| answer.partial_success);
    partial.map_or(0, |partial| {
        u64::try_from(partial.rejected_spans).unwrap_or(0)
    })
}
