//! The QEMU Machine Protocol: commands to a QEMU, and its events.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rig::PATIENCE;

/// An event of QEMU's.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its name, as in QEMU's QAPI schema.
    pub name: String,
    /// Its data.
    pub data: Value,
    /// When, CLOCK_REALTIME ns (QEMU gives microseconds).
    pub real_ns: u64,
}

/// A line that QEMU sends.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Event {
        event: String,
        #[serde(default)]
        data: Value,
        timestamp: Timestamp,
    },
    Return {
        #[serde(rename = "return")]
        value: Value,
    },
    Error {
        error: Refusal,
    },
    Greeting {
        #[serde(rename = "QMP")]
        _capabilities: Value,
    },
}

#[derive(Deserialize)]
struct Timestamp {
    seconds: u64,
    microseconds: u64,
}

#[derive(Deserialize)]
struct Refusal {
    class: String,
    desc: String,
}

/// A connection to one QEMU.
pub struct Qmp {
    lines: BufReader<UnixStream>,
    events: Vec<Event>,
    /// How many of them [`Self::wait`] has looked at.
    taken: usize,
}

impl Qmp {
    /// Connects to QEMU's socket, and negotiates; `None` while QEMU does not listen yet.
    pub fn connect(socket: &Path) -> Result<Option<Self>> {
        let Ok(stream) = UnixStream::connect(socket) else {
            return Ok(None);
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut qmp = Self {
            lines: BufReader::new(stream),
            events: Vec::new(),
            taken: 0,
        };
        ensure!(
            matches!(qmp.read()?, Message::Greeting { .. }),
            "QEMU sent no greeting"
        );
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(Some(qmp))
    }

    fn read(&mut self) -> Result<Message> {
        let mut line = String::new();
        let length = self
            .lines
            .read_line(&mut line)
            .context("waiting for a line of QEMU")?;
        ensure!(length > 0, "QEMU closed its socket");
        serde_json::from_str(&line).with_context(|| format!("a line of QEMU: {}", line.trim()))
    }

    fn keep(&mut self, message: Message) -> Option<Message> {
        match message {
            Message::Event {
                event,
                data,
                timestamp,
            } => {
                self.events.push(Event {
                    name: event,
                    data,
                    real_ns: timestamp.seconds * 1_000_000_000 + timestamp.microseconds * 1000,
                });
                None
            }
            other => Some(other),
        }
    }

    /// Executes a command; gives its result.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.lines.get_mut(), "{request}")
            .with_context(|| format!("sending {command}"))?;
        loop {
            let message = self
                .read()
                .with_context(|| format!("answering {command}"))?;
            match self.keep(message) {
                None | Some(Message::Event { .. }) => {}
                Some(Message::Return { value }) => return Ok(value),
                Some(Message::Error { error }) => {
                    bail!(
                        "QEMU refuses {command} {arguments}: {}: {}",
                        error.class,
                        error.desc
                    )
                }
                Some(Message::Greeting { .. }) => bail!("QEMU sent a second greeting"),
            }
        }
    }

    /// Waits for the next event from which `pick` takes something. Each event is looked at once.
    pub fn wait<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            while let Some(event) = self.events.get(self.taken) {
                self.taken += 1;
                if let Some(picked) = pick(event) {
                    return Ok(picked);
                }
            }
            ensure!(Instant::now() < end, "timed out waiting for {what}");
            let message = self.read().with_context(|| format!("waiting for {what}"))?;
            ensure!(
                self.keep(message).is_none(),
                "QEMU answers without a command"
            );
        }
    }

    /// The events so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Waits until QEMU closes its socket.
    pub fn finish(mut self) {
        while self.read().is_ok() {}
    }
}
