//! Writes reports to stdout from a thread of its own: a reader that is slow must not make a
//! service slow.

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
    /// As `--json` says.
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

/// How often the thread that writes looks whether it shall end.
const LOOK: Duration = Duration::from_millis(20);

/// The thread that writes.
pub struct Printer {
    thread: JoinHandle<io::Result<()>>,
    gone: Arc<Notify>,
    closing: Arc<AtomicBool>,
}

impl Printer {
    /// Starts it. It writes what `wanted` lets pass, and ends with its last sender, with
    /// [`Self::finish`], or with its reader.
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

    /// Done when nothing can be written any more.
    pub fn gone(&self) -> Arc<Notify> {
        Arc::clone(&self.gone)
    }

    /// Waits until all is written that was sent before. Senders that are still there, in a
    /// thread that hangs, are not waited for.
    pub fn finish(self) -> Result<(), Error> {
        self.closing.store(true, Ordering::Release);
        match self.thread.join() {
            Ok(result) => result.map_err(Error::from),
            Err(_) => Err(anyhow::anyhow!("the thread that writes the output died").into()),
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
        // Before the look into the channel: what was sent before `finish` is found there.
        let last = closing.load(Ordering::Acquire);
        match receiver.recv_timeout(LOOK) {
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
