//! The capabilities of a thread. Linux keeps them per thread, so each thread drops its own.

use std::io;

use rustix::{
    process::{getegid, geteuid},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
        set_thread_res_gid, set_thread_res_uid,
    },
};

/// To load programs and attach them: to the functions of a module that is loaded later too. Each of
/// them is dropped where this process does not have it; `CAP_SYS_ADMIN` stands for the first two where
/// `kernel.perf_event_paranoid` asks for it, and shows how many calls a kprobe missed.
pub const ATTACHING: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYSLOG);

/// To see what the threads of other users do in `/proc`: calls that were in flight when a trace began.
pub const WATCHING: CapabilitySet = CapabilitySet::SYS_PTRACE;

/// To open the logs of other users when they appear, or are replaced.
pub const LOGS: CapabilitySet = CapabilitySet::DAC_READ_SEARCH;

/// To create a file where the user may not.
pub const CREATING: CapabilitySet = CapabilitySet::DAC_OVERRIDE;

/// Returns what `test` does without any capability in effect. They are back afterwards.
///
/// # Errors
/// If the kernel refuses it.
pub fn without<T>(test: impl FnOnce() -> T) -> io::Result<T> {
    let before = capabilities(None)?;
    let effective = |effective| {
        let sets = CapabilitySets {
            effective,
            ..before
        };
        set_capabilities(None, sets)
    };
    effective(CapabilitySet::empty())?;
    let result = test();
    effective(before.effective)?;
    Ok(result)
}

/// Drops every capability of this thread but `kept`, for good: no program that it executes gets them
/// back. Its saved ids become the effective ones. Returns what is left.
///
/// # Errors
/// If the kernel refuses it.
pub fn keep(kept: CapabilitySet) -> io::Result<CapabilitySet> {
    set_no_new_privs(true)?;
    set_thread_res_gid(None, None, getegid())?;
    set_thread_res_uid(None, None, geteuid())?;
    let left = capabilities(None)?.permitted & kept;
    let sets = CapabilitySets {
        effective: left,
        permitted: left,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)?;
    Ok(left)
}

/// The names of capabilities, as capabilities(7) has them.
pub fn names(set: CapabilitySet) -> String {
    let names = set.iter_names().map(|(name, _)| format!("CAP_{name}"));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_manual() {
        assert_eq!(
            names(ATTACHING),
            "CAP_SYS_ADMIN, CAP_SYSLOG, CAP_PERFMON, CAP_BPF"
        );
        assert_eq!(names(CapabilitySet::empty()), "");
    }

    #[test]
    fn a_thread_keeps_what_it_is_to_keep_and_had() {
        // A thread of its own: the others of the test program keep theirs.
        let thread = std::thread::spawn(|| {
            let before = capabilities(None).unwrap().permitted;
            let effective = || capabilities(None).unwrap().effective;
            let had = effective();
            assert!(without(effective).unwrap().is_empty());
            assert_eq!(effective(), had);
            let left = keep(ATTACHING).unwrap();
            assert_eq!(left, before & ATTACHING);
            assert_eq!(
                keep(CapabilitySet::empty()).unwrap(),
                CapabilitySet::empty()
            );
            capabilities(None).unwrap()
        });
        let left = thread.join().unwrap();
        assert!(left.effective.is_empty() && left.permitted.is_empty());
        assert!(left.inheritable.is_empty());
    }
}
