//! The machine around the command: file systems, the loopback, its end.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot};

/// File systems in the order to mount them.
const MOUNTS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("debugfs", "/sys/kernel/debug"),
    ("tracefs", "/sys/kernel/tracing"),
    ("bpf", "/sys/fs/bpf"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
];

/// Mounts everything.
pub fn mount_all() -> Result<()> {
    for (kind, target) in MOUNTS {
        // Fails in sysfs, where the kernel makes the directories.
        let _ = fs::create_dir_all(target);
        mount(*kind, *target, *kind, MountFlags::empty(), None)
            .with_context(|| format!("mounting {kind} on {target}"))?;
    }
    // /dev/fd and friends are not in devtmpfs; shells and scripts use them.
    for (link, target) in [
        ("fd", "fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ] {
        let link = format!("/dev/{link}");
        std::os::unix::fs::symlink(format!("/proc/self/{target}"), &link)
            .with_context(|| format!("making {link}"))?;
    }
    Ok(())
}

/// Settings that the lab wants.
pub fn prepare() -> Result<()> {
    // A task that is stuck shall be named before the lab's own time-out.
    for (path, value) in [
        ("/proc/sys/kernel/hung_task_timeout_secs", "60"),
        ("/proc/sys/kernel/kptr_restrict", "0"),
        // A PREEMPT_RT kernel takes back at its boot that grace periods are hurried.
        ("/sys/kernel/rcu_normal", "0"),
    ] {
        fs::write(path, value).with_context(|| format!("writing {value} to {path}"))?;
    }
    let status = Command::new("/bin/busybox")
        .args(["ip", "link", "set", "lo", "up"])
        .status();
    match status.context("running busybox")? {
        status if status.success() => Ok(()),
        status => bail!("ip link set lo up: {status}"),
    }
}

/// Waits for the host to end the machine, which it does once it has read the
/// verdict: a reset could outrun the last bytes.
pub fn await_end() -> ! {
    std::thread::sleep(std::time::Duration::from_secs(30));
    end()
}

/// Ends the machine.
pub fn end() -> ! {
    loop {
        if let Err(error) = reboot(RebootCommand::Restart) {
            eprintln!("remap-guest: FAILED: ending the machine: {error}");
        }
        std::thread::park();
    }
}
