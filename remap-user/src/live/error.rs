//! Why the programs cannot be loaded.

use std::io;

use crate::{
    exit::{Code, Error},
    kernel::KernelError,
};

/// Why the programs cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel does not show its types or symbols.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// This binary was built without the programs.
    #[error("this remap was built without its eBPF programs; build it with `cargo xtask build`")]
    NoObject,
    /// The right to load programs is missing.
    #[error("loading eBPF programs is refused ({0}); run as root, or with CAP_BPF and CAP_PERFMON")]
    Refused(String),
    /// An essential structure member is missing.
    #[error("this kernel's BTF has no {0}, so nothing can be traced; see `remap doctor`")]
    Layout(String),
    /// The module vfio is not loaded.
    #[error("the module vfio is not loaded, so there is nothing to trace; `modprobe vfio-pci`")]
    Unloaded,
    /// An essential hook cannot be attached.
    #[error("the hook {hook} cannot be attached ({reason}): {impact}; see `remap doctor`")]
    Essential {
        /// The hook.
        hook: &'static str,
        /// Why not.
        reason: String,
        /// What a trace lacks without it.
        impact: String,
    },
    /// Any other error of the loader.
    #[error("cannot load the eBPF programs: {0}")]
    Loader(String),
}

impl LoadError {
    /// An error of the loader; `Refused` if its cause is EPERM or EACCES.
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(next) = cause {
            if let Some(io) = next.downcast_ref::<io::Error>()
                && io.kind() == io::ErrorKind::PermissionDenied
            {
                return Self::Refused(remap_core::event::Errno::of(io).to_string());
            }
            cause = next.source();
        }
        Self::Loader(one_line(error))
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        let code = match error {
            LoadError::Loader(_) => Code::Failed,
            _ => Code::Machine,
        };
        Self::new(code, error)
    }
}

/// An error and its causes, in one line. Of the verifier's log, which has many lines, only the
/// first and the last two remain.
pub(super) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.as_slice() {
        [first, .., before, last] => format!("{first} … {before}; {last}"),
        _ => lines.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_first_and_last_lines() {
        let log = io::Error::other("refused\n1: r0 = 0\n2: exit\n\nR1 invalid mem access\n");
        assert_eq!(one_line(&log), "refused … 2: exit; R1 invalid mem access");
        assert_eq!(one_line(&io::Error::other("a\nb")), "a; b");
    }

    #[test]
    fn missing_rights_are_named() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = LoadError::of(&denied);
        assert!(matches!(error, LoadError::Refused(_)), "{error}");
    }
}
