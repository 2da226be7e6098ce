//! What a command gives up once it has what it needs: capabilities, ids, files and system calls.

mod calls;
pub mod capabilities;
mod files;
pub mod needs;
pub mod user;

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use rustix::thread::CapabilitySet;

use crate::exit::{Code, Error};

/// Whether modules can still be loaded is a switch of the kernel that is thrown once.
const MODULES_DISABLED: &str = "/proc/sys/kernel/modules_disabled";

/// What a trace may still do once its probes are attached.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// Whether it attaches to modules that are loaded later.
    reattach: bool,
    logs: Vec<PathBuf>,
    /// The folder of a file that is removed at the end.
    removable: Option<PathBuf>,
    network: Network,
}

/// What a trace does with sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// It answers on a socket that it listens on.
    pub serves: bool,
    /// It connects sockets.
    pub sends: bool,
}

impl Confinement {
    /// For a trace that follows these logs.
    pub fn new(reattach: bool, logs: &[PathBuf]) -> Self {
        let disabled = fs::read_to_string(MODULES_DISABLED);
        let disabled = disabled.is_ok_and(|text| text.trim() == "1");
        Self {
            reattach: reattach && !disabled,
            logs: logs.to_vec(),
            removable: None,
            network: Network::default(),
        }
    }

    /// The same for a trace that removes this file at its end.
    #[must_use]
    pub fn removing(self, file: Option<&Path>) -> Self {
        Self {
            removable: file.map(folder),
            ..self
        }
    }

    /// The same, for a trace that uses sockets.
    #[must_use]
    pub fn on(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// Whether the trace attaches to modules that are loaded later.
    pub fn reattaches(&self) -> bool {
        self.reattach
    }

    fn kept(&self) -> CapabilitySet {
        let mut kept = CapabilitySet::empty();
        kept.set(capabilities::ATTACHING, self.reattach);
        kept.set(capabilities::LOGS, !self.logs.is_empty());
        kept
    }

    /// Drops what this thread does not need to watch calls that were in flight when the trace began.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn reduce_thread(&self) -> Result<(), Error> {
        capabilities::keep(self.kept() | capabilities::WATCHING)
            .map_err(|error| refused(&error))?;
        Ok(())
    }

    /// Drops what this thread does not need while it traces. Returns a sentence for each part that this
    /// kernel does not have; on a terminal also what is kept, which is no news to a script.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn seal_thread(&self) -> Result<Vec<String>, Error> {
        let left = capabilities::keep(self.kept()).map_err(|error| refused(&error))?;
        let mut sentences = match io::stderr().is_terminal() {
            true => kept(left),
            false => Vec::new(),
        };
        let (readable, removable) = (self.readable(), self.removable.as_slice());
        if !files::restrict(&readable, removable, &[]).map_err(|error| refused(&error))? {
            sentences.push(
                "this kernel has no Landlock: the trace may open any file of its user".to_owned(),
            );
        }
        Ok(sentences)
    }

    /// Denies all threads the system calls that a trace does not need. Returns a sentence if this
    /// kernel cannot.
    pub fn filter_calls(&self) -> Option<String> {
        let error = calls::restrict(self.reattach, self.removable.is_some(), self.network).err()?;
        Some(format!(
            "no filter of system calls ({error}): the trace may make any call of its user"
        ))
    }

    /// What is read while tracing: `/proc`, the switches of hooks, and the logs, which may be replaced.
    fn readable(&self) -> Vec<PathBuf> {
        let sys = match self.reattach {
            true => "/sys",
            false => "/sys/kernel/debug/kprobes/enabled",
        };
        let folders = self.logs.iter().map(|log| folder(log));
        [PathBuf::from("/proc"), PathBuf::from(sys)]
            .into_iter()
            .chain(folders)
            .collect()
    }
}

/// Whether the kernel can deny files to a process.
pub fn has_landlock() -> bool {
    files::is_available()
}

/// Whether the kernel can deny system calls to a process.
pub fn has_seccomp() -> bool {
    fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").is_ok()
}

/// Drops every right of this thread but to use the files that are open.
///
/// # Errors
/// If the kernel refuses it.
pub fn disarm_thread() -> Result<(), Error> {
    capabilities::keep(CapabilitySet::empty()).map_err(|error| refused(&error))?;
    files::restrict(&[], &[], &[]).map_err(|error| refused(&error))?;
    Ok(())
}

/// The same, but a thread may also connect to these ports.
///
/// # Errors
/// If the kernel refuses it.
pub fn disarm_sender(ports: &[u16]) -> Result<(), Error> {
    capabilities::keep(CapabilitySet::empty()).map_err(|error| refused(&error))?;
    files::restrict(&[], &[], ports).map_err(|error| refused(&error))?;
    Ok(())
}

/// A sentence for each purpose that capabilities are kept for.
fn kept(left: CapabilitySet) -> Vec<String> {
    let purposes = [
        (
            capabilities::ATTACHING,
            "to trace modules that are loaded later; --no-reattach drops that",
        ),
        (
            capabilities::LOGS,
            "to open logs that appear or are replaced",
        ),
    ];
    let sentence = |(set, purpose)| {
        let names = capabilities::names(left & set);
        (!names.is_empty()).then(|| format!("kept {names} {purpose}"))
    };
    purposes.into_iter().filter_map(sentence).collect()
}

/// The nearest folder of a path that exists.
fn folder(path: &Path) -> PathBuf {
    let mut folders = path.ancestors().skip(1);
    let there = folders.find(|folder| folder.is_dir());
    match there {
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("."),
    }
}

fn refused(error: &dyn std::fmt::Display) -> Error {
    let message = format!("giving up rights failed: {error}");
    Error::with_message(Code::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_logs_and_modules_nothing_is_kept() {
        let logs = [PathBuf::from("/none/such/log")];
        assert!(Confinement::new(false, &[]).kept().is_empty());
        assert_eq!(Confinement::new(false, &logs).kept(), capabilities::LOGS);
        let reattaching = Confinement {
            reattach: true,
            logs: Vec::new(),
            removable: None,
            network: Network::default(),
        };
        assert_eq!(reattaching.kept(), capabilities::ATTACHING);
        assert_eq!(kept(CapabilitySet::empty()), Vec::<String>::new());
        let [sentence] = &kept(CapabilitySet::BPF)[..] else {
            panic!("not one");
        };
        assert!(sentence.starts_with("kept CAP_BPF to trace modules"));
    }

    #[test]
    fn a_log_that_does_not_exist_is_expected_in_the_nearest_folder() {
        let there = tempfile::tempdir().unwrap();
        assert_eq!(folder(&there.path().join("none/log")), there.path());
        assert_eq!(folder(Path::new("log")), Path::new("."));
    }
}
