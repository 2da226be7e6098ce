//! Processes of this machine, by the pid that the probes see.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    sync::mpsc,
    thread,
    time::Duration,
};

use remap_core::vmm::name;

/// The inode of the initial PID namespace (`PROC_PID_INIT_INO` of the kernel's
/// `include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// More of a command line is not looked at, bytes.
const LONGEST: u64 = 1 << 20;

/// What a thread is doing, as far as `/proc` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It is gone.
    Nothing,
    /// It is in a system call, and waits there.
    Syscall(Syscall),
    /// It waits, and not in a system call.
    Outside,
    /// It runs, in a system call or not; or it cannot be seen.
    Unknown,
}

/// A system call under way: `/proc/PID/task/TID/syscall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Its number (x86_64).
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The stack pointer and the program counter of its caller.
    pub place: [u64; 2],
}

/// What a thread is doing.
pub fn doing(pid: u32, tid: u32) -> Doing {
    match fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Doing::Nothing,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Doing::Nothing,
        Err(_) => Doing::Unknown,
    }
}

/// A number and eight words, `-1` and two words outside of a system call, or `running`.
pub(crate) fn parse(text: &str) -> Doing {
    let mut words = text.split_ascii_whitespace();
    let number = match words.next().and_then(|number| number.parse().ok()) {
        Some(number @ 0..) => number,
        Some(-1) => return Doing::Outside,
        _ => return Doing::Unknown,
    };
    let mut word = || {
        let digits = words.next()?.strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok()
    };
    let mut all = [0; 8];
    for slot in &mut all {
        let Some(word) = word() else {
            return Doing::Unknown;
        };
        *slot = word;
    }
    let [a, b, c, d, e, f, stack, counter] = all;
    Doing::Syscall(Syscall {
        number,
        arguments: [a, b, c, d, e, f],
        place: [stack, counter],
    })
}

/// Whether `/proc` speaks of the pids that the probes see: those of the initial PID namespace.
pub fn sees_all_pids() -> bool {
    let namespace = fs::metadata("/proc/self/ns/pid");
    namespace.is_ok_and(|namespace| namespace.ino() == INITIAL_PID_NAMESPACE)
}

/// How long something is waited for that `/proc` may not give as long as a process stands still: what
/// is in its memory needs a lock that it may hold.
const PATIENCE: Duration = Duration::from_millis(200);

/// Asks on a thread of its own; `None` if there was no answer in time, or none at all.
pub(super) fn patiently<T: Send + 'static>(
    ask: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    let (answer, wait) = mpsc::channel();
    thread::spawn(move || answer.send(ask()));
    wait.recv_timeout(PATIENCE).ok().flatten()
}

/// The name of the virtual machine that the process `pid` runs. `None` if it runs none that is
/// named, is gone, or if `/proc` here does not speak of the pids that the probes see: those are
/// the initial PID namespace's.
pub fn vm_name(pid: u32) -> Option<String> {
    if !sees_all_pids() {
        return None;
    }
    let cmdline = patiently(move || {
        let file = File::open(format!("/proc/{pid}/cmdline")).ok()?;
        let mut cmdline = Vec::new();
        file.take(LONGEST).read_to_end(&mut cmdline).ok()?;
        Some(cmdline)
    });
    name::of_cmdline(&cmdline?)
}
