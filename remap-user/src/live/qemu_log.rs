//! QEMU's trace logs, followed while they grow.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::clock::WallClock;
use crate::exit::{Code, Error};
use remap_core::vmm::{
    checkpoint::{Checkpoint, device, is_checkpoint},
    lines::Lines,
    log::{self, LogAccount, RESOLUTION_NS, Rejected},
    printable,
};

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

    /// Reads the lines that were written since the last call.
    ///
    /// # Errors
    /// If a file exists and cannot be read: its path and the reason.
    pub fn poll(&mut self, mut take: impl FnMut(Checkpoint)) -> Result<(), (PathBuf, io::Error)> {
        for log in &mut self.logs {
            let (clock, start_ns) = (self.clock, self.start_ns);
            log.poll(clock, start_ns, &mut take)
                .map_err(|error| (log.path.clone(), error))?;
        }
        Ok(())
    }

    /// Reads the rest at the end of the trace, and returns the account of each log.
    ///
    /// # Errors
    /// As [`Self::poll`], and if a clock cannot be read.
    pub fn finish(
        mut self,
        mut take: impl FnMut(Checkpoint),
    ) -> Result<Vec<LogAccount>, (PathBuf, io::Error)> {
        self.poll(&mut take)?;
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
    ) -> io::Result<()> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
        }
        self.read_on(clock, start_ns, take)?;
        if self.was_replaced()? {
            // The rest of the old file was read just now.
            self.lines = Lines::default();
            self.read_on(clock, start_ns, take)?;
        }
        Ok(())
    }

    fn read_on(
        &mut self,
        clock: WallClock,
        start_ns: u64,
        take: &mut impl FnMut(Checkpoint),
    ) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut bytes = [0; 1 << 16];
        loop {
            let count = match file.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let account = &mut self.account;
            self.lines.push(&bytes[..count], |line| {
                read(line, account, clock, start_ns, take);
            });
        }
    }

    /// Whether the file was truncated or replaced: QEMU truncates its log when it starts, and tools
    /// rotate logs. If so, seeks to the start of the new content.
    fn was_replaced(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        let open = file.metadata()?;
        if open.len() < file.stream_position()? {
            file.seek(SeekFrom::Start(0))?;
            return Ok(true);
        }
        match std::fs::metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) != (open.dev(), open.ino()) => {
                *file = File::open(&self.path)?;
                Ok(true)
            }
            // It was removed or renamed: keep reading it until another file has this path.
            _ => Ok(false),
        }
    }
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
        arguments: printable(line.arguments.as_bytes()),
        device: device(&line).map(|name| printable(name.as_bytes())),
    });
}

/// A log that exists and cannot be read.
pub(super) fn unreadable_log((path, error): (PathBuf, io::Error)) -> Error {
    let path = path.display();
    let errno = remap_core::event::Errno::of(&error);
    Error::with_message(
        Code::Failed,
        format!("reading the QEMU log {path} failed: {errno}; give a file that this user may read"),
    )
}

/// The name of each log: the file name without its extension, or the whole path if two logs would
/// have the same name.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &Path| {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        stem.to_string_lossy().into_owned()
    };
    let name = |path: &PathBuf| {
        let own = stem(path);
        match paths.iter().filter(|other| stem(other) == own).count() {
            1 => own,
            _ => path.display().to_string(),
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
    fn a_folder_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = QemuLogs::new(&[folder.path().to_owned()], 0).unwrap();
        let (path, _) = logs.poll(drop).unwrap_err();
        assert_eq!(path, folder.path());
    }
}
