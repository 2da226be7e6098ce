//! Where a recording goes: a file, or stdout; and the machine that it is of.

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal as _, Seek as _, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel},
    thread,
    time::Duration,
};

use remap_core::perfdata::{ClockPair, Machine, Output};

use crate::{
    cmd::{
        files::{create_private, not_created},
        signals,
    },
    confine::disarm_thread,
    exit::{Code, Error},
    live::clock::{WallClock, monotonic_ns},
    threads,
};

/// How much is passed on at once, bytes.
const PIECE: usize = 64 << 10;
/// How many pieces may wait for the reader of stdout.
const PIECES: usize = 256;
/// How long it may take to read the last of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file, or stdout, that is open for a recording.
pub enum Destination {
    /// It keeps its contents until the recording begins.
    File(File),
    /// Standard output.
    Stdout,
}

/// Opens the file of a recording, or stdout for `-`. An existing file is refused, unless `force` says
/// that it may be overwritten.
///
/// # Errors
/// If it cannot be opened.
pub fn create(path: &Path, force: bool) -> Result<Destination, Error> {
    if path == Path::new("-") {
        if io::stdout().is_terminal() {
            let reason = "stdout is a terminal: redirect it, or pipe it into `perf script -i -`";
            return Err(refused("recording", path, reason));
        }
        return Ok(Destination::Stdout);
    }
    create_file("recording", path, force).map(Destination::File)
}

/// Creates a regular file that only its owner can read; `what` it is, for the error. An existing one is
/// refused, unless `force` says that it may be overwritten; it keeps its contents until then.
///
/// # Errors
/// If it cannot be opened.
pub fn create_file(what: &str, path: &Path, force: bool) -> Result<File, Error> {
    let failed = |reason: &str| refused(what, path, reason);
    let file = match force {
        true => create_private(path, false),
        false => {
            let mut options = File::options();
            options.write(true).create_new(true).mode(0o600).open(path)
        }
    };
    let is_file = |file: &File| file.metadata().map(|meta| meta.is_file());
    match file.and_then(|file| Ok((is_file(&file)?, file))) {
        Ok((true, file)) => Ok(file),
        Ok((false, _)) => Err(failed("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(failed("it exists; --force overwrites it"))
        }
        Err(error) => Err(failed(&not_created(&error))),
    }
}

fn refused(what: &str, path: &Path, reason: &str) -> Error {
    let path = path.display();
    let message = format!("creating the {what} {path} failed: {reason}");
    Error::with_message(Code::Failed, message)
}

impl Destination {
    /// Empties a file, for a recording that begins now.
    ///
    /// # Errors
    /// If that fails, or a thread cannot be started.
    pub fn begin(self) -> Result<Box<dyn Output>, Error> {
        Ok(match self {
            Self::File(file) => {
                file.set_len(0)?;
                Box::new(Recorded(BufWriter::with_capacity(PIECE, file)))
            }
            Self::Stdout => Box::new(Piped::start()?),
        })
    }
}

/// A file.
struct Recorded(BufWriter<File>);

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Output for Recorded {
    fn is_file(&self) -> bool {
        true
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(0)).map(drop)
    }
}

/// Stdout, written by a thread of its own: a reader that stops reading ends the recording, and does not
/// block the trace.
struct Piped {
    piece: Vec<u8>,
    pieces: Option<SyncSender<Vec<u8>>>,
    ended: Receiver<io::Result<()>>,
}

impl Piped {
    fn start() -> Result<Self, Error> {
        let (pieces, arriving) = sync_channel::<Vec<u8>>(PIECES);
        let (end, ended) = channel();
        let write = move || {
            // Stdout is open.
            signals::leave_to_others();
            let _ = disarm_thread();
            let mut stdout = io::stdout().lock();
            let written = arriving
                .iter()
                .try_for_each(|piece| stdout.write_all(&piece).and_then(|()| stdout.flush()));
            let _ = end.send(written);
        };
        threads::spawn(write).map_err(|error| threads::refused(&error))?;
        Ok(Self {
            piece: Vec::new(),
            pieces: Some(pieces),
            ended,
        })
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let Some(pieces) = &self.pieces else {
            return Ok(());
        };
        match pieces.try_send(piece) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(io::Error::other("its reader does not read")),
            Err(TrySendError::Disconnected(_)) => Err(self.error()),
        }
    }

    /// Why the thread has ended.
    fn error(&self) -> io::Error {
        let ended = self.ended.recv_timeout(PATIENCE).ok();
        let error = ended.and_then(Result::err);
        error.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Piped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.piece.is_empty() {
            true => Ok(()),
            false => self.pass_on(),
        }
    }
}

impl Output for Piped {
    fn close(&mut self) -> io::Result<()> {
        self.pieces = None;
        match self.ended.recv_timeout(PATIENCE) {
            Ok(written) => written,
            Err(RecvTimeoutError::Timeout) => Err(io::Error::other("its reader does not read")),
            Err(RecvTimeoutError::Disconnected) => Ok(()),
        }
    }
}

/// This machine, and this moment by its clocks.
///
/// # Errors
/// If a clock cannot be read.
pub fn origin() -> io::Result<(Machine, ClockPair)> {
    let line = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.trim().to_owned()
    };
    let cpus = thread::available_parallelism().map_or(0, usize::from);
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    let machine = Machine {
        host: line("/proc/sys/kernel/hostname"),
        kernel: line("/proc/sys/kernel/osrelease"),
        cpus: (cpus, cpus),
        cpu: cpu(&line("/proc/cpuinfo")),
    };
    let monotonic_ns = monotonic_ns()?;
    let clocks = ClockPair {
        wall_ns: WallClock::measure()?.wall_of(monotonic_ns),
        monotonic_ns,
    };
    Ok((machine, clocks))
}

/// The model in `/proc/cpuinfo`.
fn cpu(info: &str) -> String {
    let model = info.lines().find_map(|line| {
        let (_, model) = line.strip_prefix("model name")?.split_once(':')?;
        Some(model.trim())
    });
    model.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn only_a_new_file_of_ones_own_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(create(&at("new"), false).is_ok());
        let mode = fs::metadata(at("new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        symlink(at("target"), at("link")).unwrap();
        let reason = |name: &str, force| match create(&at(name), force) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(reason("new", false).contains("--force"));
        assert_eq!(reason("new", true), "");
        assert!(reason("link", true).contains("symbolic link"));
        assert!(!at("target").exists());
        fs::create_dir(at("folder")).unwrap();
        assert!(
            reason("folder", true).contains("EISDIR"),
            "{}",
            reason("folder", true)
        );
    }

    #[test]
    fn the_model_of_a_cpu_is_named() {
        let info = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nflags: x\n";
        assert_eq!(cpu(info), "A CPU @ 2 GHz");
        assert_eq!(cpu(""), "unknown");
    }
}
