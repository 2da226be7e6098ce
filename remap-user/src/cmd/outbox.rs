//! The output of a command on its way to stdout. A thread writes it, so that a reader that is slow,
//! or has stopped reading, delays nothing: what does not fit into the queue is dropped, counted,
//! and a line says so in its place.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use remap_core::event::Errno;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::Notify;

use crate::{
    cmd::{format::Format, signals},
    confine::disarm_thread,
    exit::{Code, Error},
    threads,
};

/// How many bytes may wait for the reader.
const MOST: usize = 16 << 20;
/// How many bytes one write(2) passes on.
const PIECE: usize = 16 << 10;
/// At the end: how long the reader may read nothing.
const STALLED: Duration = Duration::from_millis(150);
/// At the end: how long it may read.
const LONGEST: Duration = Duration::from_secs(10);

/// The bytes that wait.
struct Queue {
    format: Format,
    /// How many bytes may wait.
    most: usize,
    chunks: VecDeque<Vec<u8>>,
    /// How many bytes of the first chunk are written.
    written: usize,
    bytes: usize,
    /// Lines that were dropped, in all.
    dropped: u64,
    /// Of these, those since the last chunk that was accepted.
    gap: u64,
    /// The last chunks are accepted whatever their size.
    last: bool,
}

impl Queue {
    fn new(format: Format, most: usize) -> Self {
        Self {
            format,
            most,
            chunks: VecDeque::new(),
            written: 0,
            bytes: 0,
            dropped: 0,
            gap: 0,
            last: false,
        }
    }

    /// Adds whole lines, or drops them.
    fn push(&mut self, lines: Vec<u8>) {
        if !self.last && self.bytes + lines.len() > self.most {
            let count = count(&lines);
            self.dropped += count;
            self.gap += count;
            return;
        }
        let gap = std::mem::take(&mut self.gap);
        if gap > 0 {
            self.add(self.format.dropped(gap));
        }
        self.add(lines);
    }

    fn add(&mut self, chunk: Vec<u8>) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// The bytes that are to be written next.
    fn piece(&self) -> Option<Vec<u8>> {
        let rest = self.chunks.front()?.get(self.written..)?;
        Some(rest[..rest.len().min(PIECE)].to_vec())
    }

    /// So many of them are written.
    fn wrote(&mut self, count: usize) {
        self.written += count;
        self.bytes -= count;
        if self
            .chunks
            .front()
            .is_some_and(|chunk| self.written >= chunk.len())
        {
            self.chunks.pop_front();
            self.written = 0;
        }
    }

    /// The lines of which nothing or only a part was written, now that nothing more will be.
    fn unwritten(&self) -> u64 {
        let rest = self.chunks.iter().enumerate().map(|(n, chunk)| {
            let written = if n == 0 { self.written } else { 0 };
            count(&chunk[written..])
        });
        self.dropped + rest.sum::<u64>()
    }
}

/// How many lines end in `bytes`.
fn count(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// What the ends of the queue share.
struct Shared {
    state: Mutex<State>,
    /// The state has changed.
    changed: Condvar,
    /// Notified when the output is closed, or fails.
    gone: Notify,
    failed: AtomicBool,
}

struct State {
    queue: Queue,
    closed: bool,
    /// How the thread that writes has ended.
    ended: Option<io::Result<()>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, until the queue is closed and empty.
    fn write(&self) -> io::Result<()> {
        let mut state = self.lock();
        loop {
            let Some(piece) = state.queue.piece() else {
                if state.closed {
                    return Ok(());
                }
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let written = write_some(&piece)?;
            state = self.lock();
            state.queue.wrote(written);
            self.changed.notify_all();
        }
    }
}

/// Where the lines of a command go in; never blocks.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

impl Outbox {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(format: Format) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: Queue::new(format, MOST),
                closed: false,
                ended: None,
            }),
            changed: Condvar::new(),
            gone: Notify::new(),
            failed: AtomicBool::new(false),
        });
        let writing = Arc::clone(&shared);
        let written = threads::spawn(move || {
            // What it writes to is open. Where the kernel refuses this, the thread writes all the same.
            signals::leave_to_others();
            let _ = disarm_thread();
            let ended = writing.write();
            writing.failed.store(ended.is_err(), Ordering::Release);
            writing.lock().ended = Some(ended);
            writing.changed.notify_all();
            writing.gone.notify_one();
        });
        written.map_err(|error| threads::refused(&error))?;
        let watching = Arc::clone(&shared);
        // It ends with the process: the wait cannot be interrupted.
        let watched = threads::spawn(move || {
            signals::leave_to_others();
            let _ = disarm_thread();
            wait_for_hang_up();
            watching.gone.notify_one();
        });
        watched.map_err(|error| threads::refused(&error))?;
        Ok(Self(shared))
    }

    /// Adds whole lines, or drops them if the reader is too slow.
    ///
    /// # Errors
    /// If the output is closed.
    pub fn push(&self, lines: Vec<u8>) -> io::Result<()> {
        if self.0.failed.load(Ordering::Acquire) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0.lock().queue.push(lines);
        self.0.changed.notify_all();
        Ok(())
    }

    /// What follows is the end, which is never dropped. Returns how many lines were dropped.
    pub fn last(&self) -> u64 {
        let mut state = self.0.lock();
        state.queue.last = true;
        state.queue.dropped
    }

    /// Completes when the output is closed, or cannot be written.
    pub async fn gone(&self) {
        self.0.gone.notified().await;
    }

    /// Waits until everything is written, as long as the reader reads. Returns how many lines were
    /// not written.
    ///
    /// # Errors
    /// The error of stdout, which may be a broken pipe.
    pub fn finish(self) -> Result<u64, Error> {
        let begin = Instant::now();
        let mut state = self.0.lock();
        state.closed = true;
        self.0.changed.notify_all();
        let mut bytes = state.queue.bytes;
        let mut read = begin;
        loop {
            match state.ended.take() {
                Some(Ok(())) => return Ok(state.queue.unwritten()),
                Some(Err(error)) => return Err(unwritable(error)),
                None => {}
            }
            if state.queue.bytes < bytes {
                bytes = state.queue.bytes;
                read = Instant::now();
            }
            if read.elapsed() >= STALLED || begin.elapsed() >= LONGEST {
                return Ok(state.queue.unwritten());
            }
            let waited = self.0.changed.wait_timeout(state, STALLED / 4);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The error line about a stdout that cannot be written.
fn unwritable(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return error.into();
    }
    let errno = Errno::of(&error);
    let remedy = match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => "; free space on the file system of stdout",
        Some(libc::EFBIG) => "; raise the limit of the file size (`ulimit -f`)",
        _ => "",
    };
    let message = format!("writing the output to stdout failed: {errno}{remedy}");
    Error::with_message(Code::Failed, message)
}

/// The error about a reader that did not read `lines` lines; none for 0. `account`: what the reader
/// may have missed at the end.
pub fn unread(lines: u64, account: &str) -> Result<(), Error> {
    if lines == 0 {
        return Ok(());
    }
    let message = format!(
        "{lines} lines of the output were not written, because its reader did not read{account}; \
         write to a file, or select less"
    );
    Err(Error::with_message(Code::Lost, message))
}

/// write(2) to stdout; waits where it is not to block.
fn write_some(bytes: &[u8]) -> io::Result<usize> {
    let stdout = io::stdout();
    loop {
        match rustix::io::write(&stdout, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => return Ok(count),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut fds = [PollFd::new(&stdout, PollFlags::OUT)];
                let _ = poll(&mut fds, None);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
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
            Ok(_) if fds[0].revents().intersects(CLOSED) => return,
            // A file: nothing ever happens to it.
            Ok(_) => thread::park(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that the queue holds, as if a reader read it in pieces of `step` bytes.
    fn read(queue: &mut Queue, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = queue.piece() {
            let count = piece.len().min(step);
            all.extend_from_slice(&piece[..count]);
            queue.wrote(count);
        }
        all
    }

    #[test]
    fn what_does_not_fit_is_counted_and_placed() {
        let mut queue = Queue::new(Format::Json, 8);
        queue.push(b"123456\n".to_vec());
        queue.push(b"a\nb\n".to_vec());
        assert_eq!((queue.bytes, queue.dropped, queue.gap), (7, 2, 2));
        queue.push(b"\n".to_vec());
        assert_eq!(
            (queue.dropped, queue.gap),
            (2, 0),
            "it fits, after the mark"
        );
    }

    #[test]
    fn the_mark_stands_where_the_lines_were() {
        let mut queue = Queue::new(Format::Json, 8);
        queue.push(vec![b'\n'; 8]);
        queue.push(b"a\nb\n".to_vec());
        assert_eq!(read(&mut queue, PIECE).len(), 8);
        queue.push(b"c\n".to_vec());
        let text = String::from_utf8(read(&mut queue, 3)).unwrap();
        assert_eq!(text, "{\"type\":\"dropped\",\"lines\":2}\nc\n");
        assert_eq!(queue.unwritten(), 2);
    }

    #[test]
    fn the_end_always_fits() {
        let mut queue = Queue::new(Format::Text, 8);
        queue.push(vec![b'x'; 8]);
        queue.push(b"a\n".to_vec());
        queue.last = true;
        queue.push(b"summary\n".to_vec());
        // The mark, the summary and the line that was dropped.
        assert_eq!((queue.dropped, queue.unwritten()), (1, 3));
    }

    #[test]
    fn an_error_names_its_errno_and_a_remedy() {
        let error = unwritable(io::Error::from_raw_os_error(libc::ENOSPC)).to_string();
        assert!(
            error.contains("ENOSPC") && error.contains("free space"),
            "{error}"
        );
        assert!(unwritable(io::ErrorKind::BrokenPipe.into()).is_broken_pipe());
    }

    #[test]
    fn unread_lines_are_lost_data() {
        assert!(unread(0, "").is_ok());
        assert_eq!(unread(3, "").unwrap_err().code, Code::Lost);
    }

    proptest! {
        #[test]
        fn every_line_is_written_or_counted(
            sizes in prop::collection::vec((0_usize..40, any::<bool>()), 1..20),
        ) {
            let mut queue = Queue::new(Format::Json, 100);
            let (mut pushed, mut got) = (0, 0);
            for (size, reads) in sizes {
                let mut lines = vec![b'x'; size];
                lines.push(b'\n');
                queue.push(lines);
                pushed += 1;
                prop_assert!(queue.bytes <= 100 + 64);
                if reads {
                    got += count(&read(&mut queue, PIECE));
                }
            }
            got += count(&read(&mut queue, PIECE));
            prop_assert_eq!(queue.bytes, 0);
            // Each mark is one more line.
            prop_assert!(got + queue.dropped >= pushed);
            prop_assert!(queue.dropped > 0 || got == pushed);
        }
    }
}
