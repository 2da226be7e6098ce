//! Failures of a guest's kernel, found in its console.

/// Something that the kernel prints when it is in trouble.
#[derive(Debug, PartialEq, Eq)]
pub struct Sign {
    /// What it prints.
    text: &'static str,
    /// What that means.
    pub name: &'static str,
    /// Whether the guest may never end after it.
    pub hangs: bool,
}

const fn ends(text: &'static str, name: &'static str) -> Sign {
    Sign {
        text,
        name,
        hangs: false,
    }
}

const fn hangs(text: &'static str, name: &'static str) -> Sign {
    Sign {
        text,
        name,
        hangs: true,
    }
}

/// Every sign; the first that a line holds names it.
const SIGNS: &[Sign] = &[
    hangs("soft lockup", "soft lockup"),
    hangs("hard LOCKUP", "hard lockup"),
    hangs(" blocked for more than ", "hung task"),
    hangs("rcu: INFO: ", "RCU stall"),
    hangs("detected stalls on CPUs", "RCU stall"),
    ends("Kernel panic - not syncing", "kernel panic"),
    ends("Oops: ", "kernel Oops"),
    ends("BUG: ", "kernel BUG"),
    ends("kernel BUG at ", "kernel BUG"),
    ends("WARNING: ", "kernel WARNING"),
    ends("general protection fault", "general protection fault"),
    ends("possible recursive locking detected", "lockdep report"),
    ends("possible circular locking dependency", "lockdep report"),
    ends("refcount_t: ", "reference count error"),
    ends("list_add corruption", "list corruption"),
    ends("list_del corruption", "list corruption"),
];

/// The first sign of trouble in a line.
pub fn sign(line: &str) -> Option<&'static Sign> {
    // Only what the kernel itself prints: a command's output may quote it.
    let (stamp, text) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    let (seconds, micros) = stamp.trim().split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(micros) {
        return None;
    }
    SIGNS.iter().find(|sign| text.contains(sign.text))
}

/// The first sign of trouble in a log, with its line.
pub fn scan(log: &str) -> Option<(&'static Sign, &str)> {
    log.lines().find_map(|line| Some((sign(line)?, line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_seen() {
        for (line, name) in [
            (
                "[    3.141592] WARNING: CPU: 1 PID: 77 at drivers/vfio/vfio_main.c:1 x+0x1/0x2",
                "kernel WARNING",
            ),
            (
                "[   12.000001] BUG: kernel NULL pointer dereference, address: 0000000000000008",
                "kernel BUG",
            ),
            ("[   12.000001] kernel BUG at mm/memory.c:1!", "kernel BUG"),
            (
                "[   12.000002] Oops: 0002 [#1] PREEMPT SMP NOPTI",
                "kernel Oops",
            ),
            (
                "[   12.000003] Kernel panic - not syncing: Fatal exception",
                "kernel panic",
            ),
            (
                "[   42.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [remap:77]",
                "soft lockup",
            ),
            (
                "[  121.000000] INFO: task remap:77 blocked for more than 60 seconds.",
                "hung task",
            ),
            (
                "[   60.000000] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                "RCU stall",
            ),
        ] {
            assert_eq!(sign(line).map(|sign| sign.name), Some(name), "{line}");
        }
    }

    #[test]
    fn a_quote_is_not_trouble() {
        assert_eq!(sign("assertion: no WARNING: in the log"), None);
        assert_eq!(sign("[info] WARNING: from a tool"), None);
        assert_eq!(sign("[    1.000000] vfio_pci: add [8086:10d3]"), None);
        assert_eq!(scan("[    1.000000] all well\nnothing\n"), None);
    }
}
