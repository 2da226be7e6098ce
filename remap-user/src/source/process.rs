//! Processes of this machine, by the pid that the probes see.

use std::{fs::File, io::Read as _, os::unix::fs::MetadataExt as _};

use crate::vmm::name;

/// The inode of the initial PID namespace (`PROC_PID_INIT_INO` of the kernel's
/// `include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// More of a command line is not looked at, bytes.
const LONGEST: u64 = 1 << 20;

/// The name of the virtual machine that the process `pid` runs. `None` if it runs none that is
/// named, is gone, or if `/proc` here does not speak of the pids that the probes see: those are
/// the initial PID namespace's.
pub fn vm_name(pid: u32) -> Option<String> {
    let namespace = std::fs::metadata("/proc/self/ns/pid").ok()?;
    if namespace.ino() != INITIAL_PID_NAMESPACE {
        return None;
    }
    let file = File::open(format!("/proc/{pid}/cmdline")).ok()?;
    let mut cmdline = Vec::new();
    file.take(LONGEST).read_to_end(&mut cmdline).ok()?;
    name::of_cmdline(&cmdline)
}
