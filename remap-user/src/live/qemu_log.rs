//! QEMU's trace logs, followed while they grow.

use std::{
    fs::{File, FileType, Metadata},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::clock::WallClock;
use crate::exit::{Code, Error};
use remap_core::{
    printable::from_bytes,
    vmm::{
        checkpoint::{Checkpoint, device, is_checkpoint},
        lines::Lines,
        log::{self, LogAccount, RESOLUTION_NS, Rejected},
    },
};

/// How many pieces of 64 KiB one turn reads of a log.
const READS: usize = 64;

/// How long the end of the trace reads what is left of the logs.
const LAST: Duration = Duration::from_millis(200);

/// One log. The file may be created after the trace began, and may be truncated or replaced.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Option<File>,
    lines: Lines,
    account: LogAccount,
}

/// All logs of a trace.
#[derive(Debug)]
pub struct QemuLogs {
    logs: Vec<Log>,
    clock: WallClock,
    /// Earlier lines are skipped (CLOCK_MONOTONIC ns).
    start_ns: u64,
}

impl QemuLogs {
    /// Follows the files in `paths`, for a trace that begins at `start_ns` (CLOCK_MONOTONIC).
    ///
    /// # Errors
    /// If a clock cannot be read.
    pub fn new(paths: &[PathBuf], start_ns: u64) -> io::Result<Self> {
        let logs = names(paths).into_iter().zip(paths).map(|(name, path)| Log {
            path: path.clone(),
            file: None,
            lines: Lines::default(),
            account: LogAccount {
                name,
                ..LogAccount::default()
            },
        });
        Ok(Self {
            logs: logs.collect(),
            clock: WallClock::measure()?,
            start_ns,
        })
    }

    /// Whether there are no logs.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Reads the lines that were written since the last call, for one turn. Returns whether it read
    /// all of them.
    ///
    /// # Errors
    /// If a file exists and cannot be read: its path and the reason.
    pub fn poll(&mut self, mut take: impl FnMut(Checkpoint)) -> Result<bool, (PathBuf, io::Error)> {
        let mut all = true;
        for log in &mut self.logs {
            let (clock, start_ns) = (self.clock, self.start_ns);
            let polled = log.poll(clock, start_ns, &mut take);
            all &= polled.map_err(|error| (log.path.clone(), error))?;
        }
        Ok(all)
    }

    /// Reads the rest at the end of the trace, and returns the account of each log.
    ///
    /// # Errors
    /// As [`Self::poll`], and if a clock cannot be read.
    pub fn finish(
        mut self,
        mut take: impl FnMut(Checkpoint),
    ) -> Result<Vec<LogAccount>, (PathBuf, io::Error)> {
        let begin = Instant::now();
        while !self.poll(&mut take)? && begin.elapsed() < LAST {}
        let (clock, start_ns) = (self.clock, self.start_ns);
        let mut accounts = Vec::new();
        for Log {
            path,
            file,
            mut lines,
            mut account,
        } in self.logs
        {
            let later = WallClock::measure().map_err(|error| (path, error))?;
            lines.finish(|line| read(line, &mut account, clock, start_ns, &mut take));
            account.there = file.is_some();
            account.unread_bytes = file.as_ref().map_or(0, rest);
            account.error_ns = clock.error_ns() + RESOLUTION_NS;
            account.clock_moved_ns = clock.moved(later);
            accounts.push(account);
        }
        Ok(accounts)
    }
}

impl Log {
    fn poll(
        &mut self,
        clock: WallClock,
        start_ns: u64,
        take: &mut impl FnMut(Checkpoint),
    ) -> io::Result<bool> {
        if self.file.is_none() {
            self.file = match open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
                Err(error) => return Err(error),
            };
        }
        if !self.read_on(clock, start_ns, take)? {
            return Ok(false);
        }
        if self.was_replaced()? {
            // The rest of the old file was read just now.
            self.lines = Lines::default();
            return self.read_on(clock, start_ns, take);
        }
        Ok(true)
    }

    /// Reads until the end, or for one turn. Returns whether it is at the end.
    fn read_on(
        &mut self,
        clock: WallClock,
        start_ns: u64,
        take: &mut impl FnMut(Checkpoint),
    ) -> io::Result<bool> {
        let Some(file) = &mut self.file else {
            return Ok(true);
        };
        let mut bytes = [0; 1 << 16];
        for _ in 0..READS {
            let count = match file.read(&mut bytes) {
                Ok(0) => return Ok(true),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let account = &mut self.account;
            self.lines.push(&bytes[..count], |line| {
                read(line, account, clock, start_ns, take);
            });
        }
        Ok(false)
    }

    /// Whether the file was truncated or replaced: QEMU truncates its log when it starts, and tools
    /// rotate logs. If so, seeks to the start of the new content.
    fn was_replaced(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        let opened = file.metadata()?;
        if opened.len() < file.stream_position()? {
            file.seek(SeekFrom::Start(0))?;
            return Ok(true);
        }
        match std::fs::metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) != (opened.dev(), opened.ino()) => {
                *file = open(&self.path)?;
                Ok(true)
            }
            // It was removed or renamed: keep reading it until another file has this path.
            _ => Ok(false),
        }
    }
}

/// Opens a log. Only a regular file can be read without waiting, and has an end.
fn open(path: &Path) -> io::Result<File> {
    let is_regular = |there: &Metadata| match type_name(there.file_type()) {
        None => Ok(()),
        Some(name) => Err(io::Error::other(format!("it is {name}"))),
    };
    // An open already changes some devices.
    is_regular(&std::fs::metadata(path)?)?;
    let mut options = File::options();
    // Another file may have this path by now: the open of a fifo must not wait, and a terminal must
    // not become that of this process.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = options.read(true).custom_flags(flags).open(path)?;
    is_regular(&file.metadata()?)?;
    Ok(file)
}

/// What kind of file it is; `None` for a regular one.
fn type_name(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a directory"),
        kind if kind.is_fifo() => Some("a FIFO"),
        kind if kind.is_socket() => Some("a socket"),
        kind if kind.is_char_device() => Some("a character device"),
        kind if kind.is_block_device() => Some("a block device"),
        _ => Some("no regular file"),
    }
}

/// Checks the logs that exist already.
///
/// # Errors
/// If one is not a regular file, or may not be read.
pub fn check(paths: &[PathBuf]) -> Result<(), Error> {
    for path in paths {
        match open(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unreadable_log((path.clone(), error)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// How much of a log was not read, bytes.
fn rest(mut file: &File) -> u64 {
    let size = file.metadata().map_or(0, |there| there.len());
    size.saturating_sub(file.stream_position().unwrap_or(size))
}

/// Parses a line as a checkpoint, or counts why it is not one.
fn read(
    line: &[u8],
    account: &mut LogAccount,
    clock: WallClock,
    start_ns: u64,
    take: &mut impl FnMut(Checkpoint),
) {
    account.lines += 1;
    let line = match log::parse(line) {
        Ok(line) => line,
        Err(Rejected::Untimed) => {
            account.untimed += 1;
            return;
        }
        Err(Rejected::Foreign) => {
            account.foreign += 1;
            return;
        }
    };
    let time_ns = clock.monotonic(line.wall_ns).filter(|ns| *ns >= start_ns);
    let Some(time_ns) = time_ns else {
        account.earlier += 1;
        return;
    };
    if !is_checkpoint(&line) {
        account.others += 1;
        return;
    }
    account.checkpoints += 1;
    take(Checkpoint {
        time_ns,
        error_ns: clock.error_ns() + RESOLUTION_NS,
        log: account.name.clone(),
        tid: line.tid,
        event: line.event.to_owned(),
        arguments: line.arguments.to_owned(),
        device: device(&line),
    });
}

/// A log that exists and cannot be read.
pub(super) fn unreadable_log((path, error): (PathBuf, io::Error)) -> Error {
    let path = path.display();
    let (reason, remedy) = match error.raw_os_error() {
        Some(_) => (
            remap_core::event::Errno::of(&error).to_string(),
            "a file that this user may read",
        ),
        None => (
            error.to_string(),
            "the regular file that QEMU writes (`-D FILE`)",
        ),
    };
    let message = format!("reading the QEMU log {path} failed: {reason}; give {remedy}");
    Error::with_message(Code::Failed, message)
}

/// The name of each log: the file name without its extension, or the whole path if two logs would
/// have the same name.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &Path| {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        from_bytes(stem.as_bytes())
    };
    let name = |path: &PathBuf| {
        let own = stem(path);
        match paths.iter().filter(|other| stem(other) == own).count() {
            1 => own,
            _ => from_bytes(path.as_os_str().as_bytes()),
        }
    };
    paths.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn stamp(ns: u64) -> String {
        format!("7@{}.{:06}", ns / 1_000_000_000, ns / 1000 % 1_000_000)
    }

    /// The wall clock's now, ns.
    fn now() -> u64 {
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::try_from(now.as_nanos()).unwrap()
    }

    fn polled(logs: &mut QemuLogs) -> Vec<String> {
        let mut words = Vec::new();
        logs.poll(|checkpoint| words.push(checkpoint.arguments))
            .unwrap();
        words
    }

    #[test]
    fn a_log_is_followed_from_before_it_is_there_until_after_it_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("src.trace");
        let mut logs = QemuLogs::new(std::slice::from_ref(&path), 0).unwrap();
        assert!(polled(&mut logs).is_empty());
        let mut file = File::create(&path).unwrap();
        let stamp = stamp(now());
        write!(
            file,
            "{stamp}:migrate_set_state new state setup\n{stamp}:migrate_set"
        )
        .unwrap();
        assert_eq!(polled(&mut logs), ["new state setup"]);
        write!(
            file,
            "_state new state active\nmigrate_set_state new state x\n"
        )
        .unwrap();
        assert_eq!(polled(&mut logs), ["new state active"]);
        assert!(polled(&mut logs).is_empty());
        // It is cut and written from the begin.
        let mut file = File::create(&path).unwrap();
        writeln!(file, "{stamp}:migrate_set_state new state one").unwrap();
        assert_eq!(polled(&mut logs), ["new state one"]);
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        std::fs::write(&path, format!("{stamp}:migrate_set_state new state two")).unwrap();
        assert!(polled(&mut logs).is_empty(), "the line is not whole");
        let mut words = Vec::new();
        let accounts = logs
            .finish(|checkpoint| words.push(checkpoint.arguments))
            .unwrap();
        assert_eq!(words, ["new state two"]);
        let account = &accounts[0];
        assert!(account.there && account.error_ns >= RESOLUTION_NS);
        assert_eq!((account.name.as_str(), account.untimed), ("src", 1));
    }

    #[test]
    fn what_was_before_and_what_is_nothing_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("src.trace");
        let before = stamp(now() - 3_600_000_000_000);
        let lines = format!(
            "{before}:migrate_set_state new state setup\nhello\n{}:vfio_save_block  (x) data_size 1\n",
            stamp(now() + 3_600_000_000_000)
        );
        std::fs::write(&path, lines).unwrap();
        let start_ns = super::super::clock::monotonic_ns().unwrap();
        let logs = QemuLogs::new(&[path, folder.path().join("none")], start_ns).unwrap();
        let accounts = logs.finish(|checkpoint| panic!("{checkpoint:?}")).unwrap();
        let account = &accounts[0];
        assert_eq!(
            (
                account.lines,
                account.earlier,
                account.foreign,
                account.others
            ),
            (3, 1, 1, 1)
        );
        assert!(!accounts[1].there);
    }

    #[test]
    fn logs_have_distinct_names() {
        let paths = ["a/src.log", "b/src.log", "dst.log"].map(PathBuf::from);
        assert_eq!(names(&paths), ["a/src.log", "b/src.log", "dst"]);
    }

    #[test]
    fn only_a_regular_file_is_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let zero = Path::new("/dev/zero").to_owned();
        for (path, name) in [
            (folder.path().to_owned(), "a directory"),
            (socket, "a socket"),
            (zero, "a character device"),
        ] {
            let mut logs = QemuLogs::new(std::slice::from_ref(&path), 0).unwrap();
            let (failed, _) = logs.poll(drop).unwrap_err();
            assert_eq!(failed, path);
            let line = check(&[path]).unwrap_err().to_string();
            assert!(line.contains(name) && line.contains("-D FILE"), "{line}");
        }
        check(&[folder.path().join("none")]).unwrap();
    }

    #[test]
    fn a_long_log_is_read_turn_by_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("src.trace");
        let length = (READS as u64 * 2) << 16;
        std::fs::write(&path, vec![b'\n'; usize::try_from(length).unwrap()]).unwrap();
        let mut logs = QemuLogs::new(&[path], 0).unwrap();
        assert!(!logs.poll(drop).unwrap());
        assert_eq!(logs.logs[0].account.lines, length / 2);
        assert!(!logs.poll(drop).unwrap());
        assert!(logs.poll(drop).unwrap());
        assert_eq!(logs.logs[0].account.lines, length);
    }
}
