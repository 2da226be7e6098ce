//! Writes reports to stdout on separate threads, so that a slow reader does not slow down a service.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

use crate::cmd::format::Format;
use crate::cmd::outbox::{self, Outbox};
use crate::exit::Error;

/// How often the formatting thread checks whether it must end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The thread that formats what is written.
pub struct Printer {
    thread: JoinHandle<io::Result<()>>,
    outbox: Outbox,
    closing: Arc<AtomicBool>,
}

impl Printer {
    /// Starts it. It writes the values that `wanted` accepts, and ends when its last sender is
    /// dropped, at [`Self::finish`], or when its reader exits. It takes what is sent whether or not
    /// the reader reads.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start<T>(format: Format, wanted: fn(&T) -> bool) -> Result<(Sender<T>, Self), Error>
    where
        T: Display + Serialize + Send + 'static,
    {
        let (sender, receiver) = channel();
        let outbox = Outbox::start(format)?;
        let closing = Arc::new(AtomicBool::new(false));
        let (out, close) = (outbox.clone(), Arc::clone(&closing));
        let thread = crate::threads::spawn(move || print(&receiver, &close, &out, format, wanted));
        Ok((
            sender,
            Self {
                thread: thread.map_err(|error| crate::threads::refused(&error))?,
                outbox,
                closing,
            },
        ))
    }

    /// The output.
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Waits until everything that was sent before is written, as long as the reader reads. Does not
    /// wait for senders that a hanging thread still holds.
    ///
    /// # Errors
    /// If the output could not be written, or was not read.
    pub fn finish(self) -> Result<(), Error> {
        self.outbox.last();
        self.closing.store(true, Ordering::Release);
        let formatted = self.thread.join().unwrap_or_else(|_| {
            Err(io::Error::other(
                "the thread that formats the output panicked",
            ))
        });
        // The error of the output first: it is the cause of the other.
        outbox::unread(self.outbox.finish()?, "")?;
        Ok(formatted?)
    }
}

fn print<T: Display + Serialize>(
    receiver: &Receiver<T>,
    closing: &AtomicBool,
    outbox: &Outbox,
    format: Format,
    wanted: fn(&T) -> bool,
) -> io::Result<()> {
    loop {
        // Read before the channel: everything that was sent before `finish` is still received.
        let last = closing.load(Ordering::Acquire);
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(value) if wanted(&value) => {
                let mut line = Vec::new();
                format.write(&mut line, &value)?;
                outbox.push(line)?;
            }
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) if !last => {}
            Err(_) => return Ok(()),
        }
    }
}
