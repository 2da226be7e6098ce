//! The perf event array of a trace in a BPF file system, where other programs find it (`--perf-events`).

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use aya::maps::Map;
use aya::pin::PinError;
use remap_core::event::Errno;
use rustix::fs::statfs;

use crate::exit::{Code, Error, say};

/// `BPF_FS_MAGIC` (include/uapi/linux/magic.h).
const BPF_FS: u64 = 0xcafe_4a11;

/// Where it is mounted, as a rule.
const USUAL: &str = "/sys/fs/bpf";

/// A pinned map, or the place for one. It is removed when this is dropped.
#[derive(Debug)]
pub struct Pin {
    path: PathBuf,
    is_there: AtomicBool,
}

impl Pin {
    /// A place where a map can be pinned.
    ///
    /// # Errors
    /// If there is something at `path`, or if it does not lie in a BPF file system.
    pub fn at(path: &Path) -> Result<Self, Error> {
        match obstacle(path) {
            Some(reason) => Err(refused(path, &reason)),
            None => Ok(Self {
                path: path.to_owned(),
                is_there: AtomicBool::new(false),
            }),
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the map is pinned.
    pub(super) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    /// Pins the map, with mode 0600. Never over what is there.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub(super) fn pin(&self, map: &Map) -> Result<(), Error> {
        if let Err(error) = map.pin(&self.path) {
            let PinError::SyscallError(error) = &error else {
                return Err(refused(&self.path, &error.to_string()));
            };
            let reason = match error.io_error.kind() {
                ErrorKind::AlreadyExists => exists(&self.path),
                _ => Errno::of(&error.io_error).to_string(),
            };
            return Err(refused(&self.path, &reason));
        }
        self.is_there.store(true, Ordering::Release);
        Ok(())
    }

    /// Removes it, if it is there.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn remove(&self) -> Result<(), Error> {
        if !self.is_there.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let (path, errno) = (self.path.display(), Errno::of(&error));
                let message = format!("removing {path} failed: {errno}; `rm {path}` removes it");
                Err(Error::with_message(Code::Failed, message))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            say(format_args!("{error}"));
        }
    }
}

fn refused(path: &Path, reason: &str) -> Error {
    let message = format!(
        "pinning the perf events at {} failed: {reason}",
        path.display()
    );
    Error::with_message(Code::Failed, message)
}

fn exists(path: &Path) -> String {
    let path = path.display();
    format!(
        "it exists; if it is left from a trace that was killed, `rm {path}` removes it, else name \
         another one"
    )
}

/// Why nothing can be pinned there.
fn obstacle(path: &Path) -> Option<String> {
    if fs::symlink_metadata(path).is_ok() {
        return Some(exists(path));
    }
    let name = path.file_name().unwrap_or_default();
    // The kernel keeps names with a dot for itself (`bpf_lookup`, kernel/bpf/inode.c).
    if name.is_empty() || name.as_encoded_bytes().contains(&b'.') {
        let reason = "the name of a pin has no dot, and is not empty";
        return Some(reason.to_owned());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match is_bpf_fs(folder) {
        Ok(true) => None,
        Ok(false) => Some(elsewhere(is_bpf_fs(Path::new(USUAL)).unwrap_or(false))),
        Err(error) => Some(format!("{}: {}", folder.display(), Errno::of(&error))),
    }
}

fn is_bpf_fs(folder: &Path) -> io::Result<bool> {
    Ok(statfs(folder)?.f_type.cast_unsigned() == BPF_FS)
}

/// The place is in another file system.
fn elsewhere(is_mounted: bool) -> String {
    let reason = format!("it does not lie in a BPF file system; use {USUAL}/NAME");
    match is_mounted {
        true => reason,
        false => format!("{reason}, after `mount -t bpf bpf {USUAL}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(path: &Path) -> String {
        Pin::at(path).unwrap_err().to_string()
    }

    #[test]
    fn a_place_is_checked_before_a_trace_begins() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("there"), "").unwrap();
        assert!(reason(&at("there")).contains("it exists; if it is left"));
        std::os::unix::fs::symlink("/nowhere", at("link")).unwrap();
        assert!(reason(&at("link")).contains("it exists"));
        assert!(reason(&at("new")).contains("not lie in a BPF file system"));
        assert!(reason(&at("no/folder")).contains("ENOENT"));
        for name in ["a.b", "", ".."] {
            let text = reason(Path::new(USUAL).join(name).as_path());
            assert!(!text.is_empty(), "{name}: {text}");
        }
        assert!(reason(&at("a.b")).contains("no dot"));
    }

    #[test]
    fn the_remedy_is_a_mount_where_there_is_none() {
        assert!(elsewhere(false).contains("mount -t bpf"));
        assert!(!elsewhere(true).contains("mount"));
    }
}
