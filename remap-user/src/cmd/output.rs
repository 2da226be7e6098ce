//! Writes reports to stdout on a separate thread, so that a slow reader does not slow down a
//! service.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

use crate::exit::Error;

/// How reports are written.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// A line for people each.
    Text,
    /// A JSON object each.
    Json,
}

impl Format {
    /// JSON with `--json`, else text.
    pub fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// Writes one value.
    pub fn write<T: Display + Serialize>(self, to: &mut impl Write, value: &T) -> io::Result<()> {
        match self {
            Self::Text => writeln!(to, "{value}"),
            Self::Json => {
                serde_json::to_writer(&mut *to, value)?;
                writeln!(to)
            }
        }
    }
}

/// How often the writing thread checks whether it must end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The thread that writes.
pub struct Printer {
    thread: JoinHandle<io::Result<()>>,
    gone: Arc<Notify>,
    closing: Arc<AtomicBool>,
}

impl Printer {
    /// Starts it. It writes the values that `wanted` accepts, and ends when its last sender is
    /// dropped, at [`Self::finish`], or when its reader exits.
    pub fn start<T>(format: Format, wanted: fn(&T) -> bool) -> (Sender<T>, Self)
    where
        T: Display + Serialize + Send + 'static,
    {
        let (sender, receiver) = channel();
        let gone = Arc::new(Notify::new());
        let closing = Arc::new(AtomicBool::new(false));
        let (notify, close) = (Arc::clone(&gone), Arc::clone(&closing));
        let thread = std::thread::spawn(move || {
            let result = print(&receiver, &close, format, wanted);
            notify.notify_one();
            result
        });
        (
            sender,
            Self {
                thread,
                gone,
                closing,
            },
        )
    }

    /// Notified when the output is closed.
    pub fn gone(&self) -> Arc<Notify> {
        Arc::clone(&self.gone)
    }

    /// Waits until everything that was sent before is written. Does not wait for senders that a
    /// hanging thread still holds.
    pub fn finish(self) -> Result<(), Error> {
        self.closing.store(true, Ordering::Release);
        match self.thread.join() {
            Ok(result) => result.map_err(Error::from),
            Err(_) => Err(anyhow::anyhow!("the thread that writes the output panicked").into()),
        }
    }
}

fn print<T: Display + Serialize>(
    receiver: &Receiver<T>,
    closing: &AtomicBool,
    format: Format,
    wanted: fn(&T) -> bool,
) -> io::Result<()> {
    let mut stdout = io::stdout();
    loop {
        // Read before the channel: everything that was sent before `finish` is still received.
        let last = closing.load(Ordering::Acquire);
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(value) if wanted(&value) => {
                format.write(&mut stdout, &value)?;
                stdout.flush()?;
            }
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) if !last => {}
            Err(_) => return Ok(()),
        }
    }
}
