//! Why the programs cannot be loaded.

use std::io;

use super::{
    rights::{Obstacle, Rights},
    silence::Silence,
};
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
    /// Something forbids it that is known.
    #[error("loading eBPF programs is refused{errno}: {obstacles}", obstacles = list(.obstacles))]
    Forbidden {
        /// The kernel's answer, in parentheses; empty where that is a text of the verifier.
        errno: String,
        /// What forbids it.
        obstacles: Vec<Obstacle>,
    },
    /// It is refused, and nothing is known that forbids it.
    #[error(
        "loading eBPF programs is refused ({0}), although this process has the capabilities; a \
         security module or a seccomp filter may forbid bpf(2) or perf_event_open(2): run remap as \
         root and outside of a container"
    )]
    Refused(String),
    /// An essential structure member is missing.
    #[error("this kernel's BTF has no {0}, so nothing can be traced; see `remap doctor`")]
    Layout(String),
    /// The kernel is one of PREEMPT_RT, and the lock of its ring may sleep.
    #[error(
        "this PREEMPT_RT kernel's ring buffer has a lock that may sleep, which programs of kprobes \
         must not do; use one of 6.12 or later"
    )]
    SleepingRing,
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
    /// The hooks are attached, and do not fire.
    #[error(
        "{hooks} are attached, but do not fire: {cause}; {remedy}",
        hooks = .0.hooks.words(), cause = .0.cause.words(), remedy = .0.cause.remedy()
    )]
    Silent(Silence),
    /// The perf event array cannot be pinned.
    #[error("{0}")]
    Pin(Error),
    /// Any other error of the loader.
    #[error("cannot load the eBPF programs: {0}")]
    Loader(String),
}

impl LoadError {
    /// The same error, with what forbids loading or attaching on this machine in place of the kernel's
    /// words.
    pub(super) fn explained(self, rights: &Rights) -> Self {
        let errno = match &self {
            Self::Refused(errno) => format!(" ({errno})"),
            Self::Loader(_) | Self::Essential { .. } | Self::Kernel(_) => String::new(),
            _ => return self,
        };
        match rights.obstacles() {
            obstacles if obstacles.is_empty() => self,
            obstacles => Self::Forbidden { errno, obstacles },
        }
    }

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

fn list(obstacles: &[Obstacle]) -> String {
    let clause = |Obstacle { reason, remedy }: &Obstacle| format!("{reason}; {remedy}");
    let clauses: Vec<String> = obstacles.iter().map(clause).collect();
    clauses.join("; and ")
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        let code = match error {
            LoadError::Pin(error) => return error,
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

    #[test]
    fn what_forbids_it_replaces_the_kernels_words() {
        let verifier = || LoadError::Loader("R1 unknown func bpf_probe_read_kernel#113".into());
        let locked = Rights {
            lockdown: Some("confidentiality".into()),
            ..Rights::default()
        };
        let text = verifier().explained(&locked).to_string();
        assert!(text.contains("lockdown") && !text.contains("R1"), "{text}");
        let text = verifier().explained(&Rights::default()).to_string();
        assert!(text.contains("R1"), "{text}");
        let text = LoadError::Refused("EPERM".into())
            .explained(&locked)
            .to_string();
        assert!(text.contains("(EPERM)"), "{text}");
        // Another reason stays.
        let text = LoadError::NoObject.explained(&locked).to_string();
        assert!(text.contains("without its eBPF programs"), "{text}");
    }
}
