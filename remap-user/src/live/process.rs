//! Processes of this machine, by their pid in the initial PID namespace.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    sync::mpsc,
    time::Duration,
};

use remap_core::vmm::name;

/// The inode of the initial PID namespace (`PROC_PID_INIT_INO` of the kernel's
/// `include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The longest command line that is read, bytes.
const MAX_CMDLINE: u64 = 1 << 20;

/// What a thread is doing, according to `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It has exited.
    Exited,
    /// It is blocked in a system call.
    Syscall(Syscall),
    /// It is blocked, but not in a system call.
    OutsideSyscall,
    /// It runs, in a system call or not; or `/proc` does not show it.
    Unknown,
}

/// A system call in flight: `/proc/PID/task/TID/syscall`.
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
pub fn activity(pid: u32, tid: u32) -> Activity {
    match fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Activity::Exited,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Activity::Exited,
        Err(_) => Activity::Unknown,
    }
}

/// A number and eight words, `-1` and two words outside of a system call, or `running`.
pub(crate) fn parse(text: &str) -> Activity {
    let mut words = text.split_ascii_whitespace();
    let number = match words.next().and_then(|number| number.parse().ok()) {
        Some(number @ 0..) => number,
        Some(-1) => return Activity::OutsideSyscall,
        _ => return Activity::Unknown,
    };
    let mut word = || {
        let digits = words.next()?.strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok()
    };
    let mut all = [0; 8];
    for slot in &mut all {
        let Some(word) = word() else {
            return Activity::Unknown;
        };
        *slot = word;
    }
    let [a, b, c, d, e, f, stack, counter] = all;
    Activity::Syscall(Syscall {
        number,
        arguments: [a, b, c, d, e, f],
        place: [stack, counter],
    })
}

/// Whether `/proc` shows the pids of the initial PID namespace, which the probes record.
pub fn sees_all_pids() -> bool {
    let namespace = fs::metadata("/proc/self/ns/pid");
    namespace.is_ok_and(|namespace| namespace.ino() == INITIAL_PID_NAMESPACE)
}

/// How long to wait for `/proc` to show the memory of a process: that needs its mmap lock, which a
/// blocked process may hold.
const MEMORY_TIMEOUT: Duration = Duration::from_millis(200);

/// Runs `read` on a thread of its own; `None` if it returns none, or not in time.
pub(super) fn with_timeout<T: Send + 'static>(
    read: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    crate::threads::spawn(move || sender.send(read())).ok()?;
    receiver.recv_timeout(MEMORY_TIMEOUT).ok().flatten()
}

/// The name of the virtual machine that the process `pid` runs. `None` if it runs none with a
/// name, has exited, or if `/proc` does not show the pids of the initial PID namespace.
pub fn vm_name(pid: u32) -> Option<String> {
    if !sees_all_pids() {
        return None;
    }
    let cmdline = with_timeout(move || {
        let file = File::open(format!("/proc/{pid}/cmdline")).ok()?;
        let mut cmdline = Vec::new();
        file.take(MAX_CMDLINE).read_to_end(&mut cmdline).ok()?;
        Some(cmdline)
    });
    name::of_cmdline(&cmdline?)
}
