//! The files that a subcommand creates: private ones, and the readiness file.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use remap_core::event::Errno;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::thread::CapabilitySet;

use crate::confine::capabilities;
use crate::exit::{Code, Error};
use crate::threads;

/// Opens a file for writing, and creates it if there is none: only its owner can read it then. Never
/// through a symbolic link.
///
/// # Errors
/// If it cannot be opened.
pub fn create_private(path: &Path, truncate: bool) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(truncate);
    // O_NONBLOCK: a fifo without a reader is an error, and does not block the command.
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    options.mode(0o600).custom_flags(flags).open(path)
}

/// Why a file could not be created.
pub fn not_created(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ELOOP) => "it is a symbolic link".to_owned(),
        _ => Errno::of(error).to_string(),
    }
}

/// Creates the readiness file of a command.
pub fn create_ready_file(path: Option<&Path>) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    let created = create_private(path, true);
    created.map(drop).map_err(|error| {
        let (path, reason) = (path.display(), not_created(&error));
        let message = format!("creating the ready file {path} failed: {reason}");
        Error::with_message(Code::Failed, message)
    })
}

/// Drops what this thread does not need to create a file. If the kernel refuses that, it keeps all.
fn keep_for(path: &Path) {
    let may_write = |path: &Path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let suffices = capabilities::without(|| match path.exists() {
        true => may_write(path),
        false => may_write(folder),
    });
    let kept = match suffices {
        Ok(true) => CapabilitySet::empty(),
        _ => capabilities::CREATING,
    };
    let _ = capabilities::keep(kept);
}

/// A thread that creates a file when it is asked to.
type Creator = (Sender<()>, JoinHandle<Result<(), Error>>);

/// The readiness file of a command that gives up its rights before it is ready: a thread creates it,
/// which can still open files, and keeps the capability that this needs.
pub struct ReadyFile(RefCell<Option<Creator>>);

impl ReadyFile {
    /// Starts the thread, if there is a path.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn prepare(path: Option<&Path>) -> Result<Self, Error> {
        let thread = path.map(|path| {
            let (ready, wait) = channel();
            let path = path.to_owned();
            let create = move || {
                keep_for(&path);
                match wait.recv() {
                    Ok(()) => create_ready_file(Some(&path)),
                    // The command ended before it was ready.
                    Err(_) => Ok(()),
                }
            };
            let thread = threads::spawn(create).map_err(|error| threads::refused(&error))?;
            Ok::<_, Error>((ready, thread))
        });
        Ok(Self(RefCell::new(thread.transpose()?)))
    }

    /// Creates the file, once.
    ///
    /// # Errors
    /// If that fails.
    pub fn create(&self) -> Result<(), Error> {
        let Some((ready, thread)) = self.0.take() else {
            return Ok(());
        };
        let _ = ready.send(());
        let panicked = || Error::with_message(Code::Failed, "creating the ready file panicked");
        thread.join().map_err(|_| panicked())?
    }
}
