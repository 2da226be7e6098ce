//! Writes a trace's output on a separate thread, so that a slow or paused reader neither makes the
//! ring overflow nor delays the end of the trace.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::Notify;

/// How many flushes may wait for the reader. A flush covers some milliseconds, so this lasts for
/// minutes of a busy trace; then the trace waits too, and losses are counted.
const MAX_PENDING: usize = 65_536;

/// Collects the output, and sends it to the thread at each flush.
pub struct Writer {
    pending: Vec<u8>,
    sender: SyncSender<Vec<u8>>,
}

/// The thread that writes to stdout.
pub struct WriterThread {
    thread: JoinHandle<io::Result<()>>,
    gone: Arc<Notify>,
}

/// Starts the thread.
pub fn start() -> (Writer, WriterThread) {
    let (sender, receiver) = sync_channel(MAX_PENDING);
    let gone = Arc::new(Notify::new());
    let notify = Arc::clone(&gone);
    let thread = thread::spawn(move || {
        let result = copy(&receiver);
        notify.notify_one();
        result
    });
    let notify = Arc::clone(&gone);
    // It ends with the process: the wait cannot be interrupted.
    thread::spawn(move || {
        wait_for_hang_up();
        notify.notify_one();
    });
    let writer = Writer {
        pending: Vec::new(),
        sender,
    };
    (writer, WriterThread { thread, gone })
}

impl WriterThread {
    /// Notified when the reader of the output exits.
    pub fn gone(&self) -> Arc<Notify> {
        Arc::clone(&self.gone)
    }

    /// Waits until everything is written; the writer must be gone.
    ///
    /// # Errors
    /// The error of stdout, which may be a broken pipe.
    pub fn finish(self) -> io::Result<()> {
        let panicked = |_| {
            Err(io::Error::other(
                "the thread that writes the output panicked",
            ))
        };
        self.thread.join().unwrap_or_else(panicked)
    }
}

fn copy(receiver: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for bytes in receiver {
        stdout.write_all(&bytes)?;
        stdout.flush()?;
    }
    Ok(())
}

/// The poll(2) events of a stdout without a reader.
const CLOSED: PollFlags = PollFlags::ERR.union(PollFlags::HUP).union(PollFlags::NVAL);

/// Returns when the other end of stdout is closed; never for a file.
fn wait_for_hang_up() {
    let stdout = io::stdout();
    loop {
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
            Ok(_) if fds[0].revents().intersects(CLOSED) => return,
            Ok(_) => {}
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.pending);
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.send(bytes).map_err(gone)
    }
}
