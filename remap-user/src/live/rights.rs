//! What this machine or this user forbids, and the remedy.
//!
//! The kernel refuses programs with an errno or with a text of its verifier that does not name the
//! reason. What it has decided by can be read: capabilities, lockdown, `perf_event_paranoid`, the JIT.

use std::fs;

/// Each capability that loading and attaching needs, with its bit (`include/uapi/linux/capability.h`).
/// CAP_SYS_ADMIN includes both.
const NEEDED: [(&str, u32); 2] = [("CAP_BPF", 39), ("CAP_PERFMON", 38)];
const SYS_ADMIN: u32 = 21;

/// From this value on Debian's kernel refuses perf_event_open(2), which attaches kprobes, to each
/// process without CAP_SYS_ADMIN.
const PARANOID: i32 = 3;

/// What the kernel decides by; `None` where it could not be read, or the kernel does not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The effective capabilities of this process, a bit each.
    pub capabilities: Option<u64>,
    /// The mode of `/sys/kernel/security/lockdown`.
    pub lockdown: Option<String>,
    /// `kernel.perf_event_paranoid`.
    pub paranoid: Option<i32>,
    /// `net.core.bpf_jit_enable`.
    pub jit: Option<u32>,
}

/// Why programs cannot be loaded or attached, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// One clause.
    pub reason: String,
    /// One clause.
    pub remedy: &'static str,
}

impl Rights {
    /// Those of this process, now.
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).ok();
        let number = |path| text(path)?.trim().parse().ok();
        Self {
            capabilities: text("/proc/self/status").and_then(|status| capabilities(&status)),
            lockdown: text("/sys/kernel/security/lockdown").and_then(|modes| chosen(&modes)),
            paranoid: number("/proc/sys/kernel/perf_event_paranoid"),
            jit: text("/proc/sys/net/core/bpf_jit_enable").and_then(|jit| jit.trim().parse().ok()),
        }
    }

    fn has(&self, capability: u32) -> bool {
        self.capabilities
            .is_none_or(|own| own >> capability & 1 != 0)
    }

    /// What prevents a trace, the most general first; empty if nothing is known to.
    pub fn obstacles(&self) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        let mut add = |reason: String, remedy| obstacles.push(Obstacle { reason, remedy });
        if self.lockdown.as_deref() == Some("confidentiality") {
            add(
                "kernel lockdown is in the mode confidentiality, so that no program may read \
                 kernel memory"
                    .to_owned(),
                "boot with lockdown=integrity or without lockdown=",
            );
        }
        if self.jit == Some(0) {
            add(
                "the JIT of eBPF is off (net.core.bpf_jit_enable is 0)".to_owned(),
                "`sysctl net.core.bpf_jit_enable=1`",
            );
        }
        if self.has(SYS_ADMIN) {
            return obstacles;
        }
        let lacks = NEEDED.iter().filter(|(_, bit)| !self.has(*bit));
        let names: Vec<&str> = lacks.map(|(name, _)| *name).collect();
        let strict = self.paranoid.filter(|value| *value >= PARANOID);
        if !names.is_empty() {
            let reason = format!("this process lacks {}", names.join(" and "));
            let remedy = match strict {
                None => "run remap as root, or give it CAP_BPF and CAP_PERFMON",
                Some(_) => "run remap as root, or give it CAP_SYS_ADMIN",
            };
            add(reason, remedy);
        } else if let Some(value) = strict {
            add(
                format!(
                    "kernel.perf_event_paranoid is {value}, so that only CAP_SYS_ADMIN may attach \
                     kprobes"
                ),
                "`sysctl kernel.perf_event_paranoid=2`, or run remap as root",
            );
        }
        obstacles
    }

    /// The values, for people.
    pub fn summary(&self) -> String {
        let lockdown = self.lockdown.as_deref().unwrap_or("unknown");
        let number = |value: Option<i64>| value.map_or("unknown".to_owned(), |n| n.to_string());
        let paranoid = number(self.paranoid.map(i64::from));
        let jit = match self.jit {
            Some(0) => "off",
            Some(_) => "on",
            None => "unknown",
        };
        format!(
            "capabilities suffice; lockdown {lockdown}, perf_event_paranoid {paranoid}, JIT {jit}"
        )
    }
}

/// The line `CapEff:` of `/proc/PID/status`.
fn capabilities(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The mode in brackets: `none [integrity] confidentiality`.
fn chosen(modes: &str) -> Option<String> {
    let (_, rest) = modes.split_once('[')?;
    let (mode, _) = rest.split_once(']')?;
    Some(mode.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BPF: u64 = 1 << 39;
    const PERFMON: u64 = 1 << 38;
    const ADMIN: u64 = 1 << 21;

    fn rights(capabilities: u64) -> Rights {
        Rights {
            capabilities: Some(capabilities),
            lockdown: Some("none".into()),
            paranoid: Some(2),
            jit: Some(1),
        }
    }

    fn sentences(rights: &Rights) -> Vec<String> {
        let obstacles = rights.obstacles().into_iter();
        obstacles
            .map(|obstacle| format!("{}; {}", obstacle.reason, obstacle.remedy))
            .collect()
    }

    #[test]
    fn what_suffices_is_no_obstacle() {
        for capabilities in [ADMIN, BPF | PERFMON, u64::MAX] {
            assert_eq!(sentences(&rights(capabilities)), Vec::<String>::new());
        }
        // What cannot be read is no obstacle.
        assert_eq!(sentences(&Rights::default()), Vec::<String>::new());
        let integrity = Rights {
            lockdown: Some("integrity".into()),
            ..rights(ADMIN)
        };
        assert_eq!(sentences(&integrity), Vec::<String>::new());
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(
            sentences(&rights(BPF)),
            [
                "this process lacks CAP_PERFMON; run remap as root, or give it CAP_BPF and CAP_PERFMON"
            ]
        );
        assert!(sentences(&rights(PERFMON))[0].contains("lacks CAP_BPF;"));
        assert!(sentences(&rights(0))[0].contains("lacks CAP_BPF and CAP_PERFMON;"));
    }

    #[test]
    fn a_paranoid_kernel_needs_more() {
        let paranoid = |capabilities| Rights {
            paranoid: Some(3),
            ..rights(capabilities)
        };
        assert_eq!(sentences(&paranoid(ADMIN)), Vec::<String>::new());
        let both = sentences(&paranoid(BPF | PERFMON));
        assert!(
            both[0].contains("kernel.perf_event_paranoid is 3"),
            "{both:?}"
        );
        assert!(
            both[0].contains("`sysctl kernel.perf_event_paranoid=2`"),
            "{both:?}"
        );
        // CAP_BPF and CAP_PERFMON would not be enough.
        let none = sentences(&paranoid(0));
        assert!(none[0].ends_with("give it CAP_SYS_ADMIN"), "{none:?}");
    }

    #[test]
    fn root_has_obstacles_too() {
        let locked = Rights {
            lockdown: Some("confidentiality".into()),
            jit: Some(0),
            ..rights(u64::MAX)
        };
        let sentences = sentences(&locked);
        assert_eq!(sentences.len(), 2);
        assert!(sentences[0].contains("lockdown") && sentences[0].contains("lockdown=integrity"));
        assert!(sentences[1].contains("`sysctl net.core.bpf_jit_enable=1`"));
    }

    #[test]
    fn the_kernels_texts_are_read() {
        let status = "Name:\tremap\nCapPrm:\t0\nCapEff:\t000000c000000000\n";
        assert_eq!(capabilities(status), Some(BPF | PERFMON));
        assert_eq!(capabilities("Name:\tx\n"), None);
        let chosen = |text| chosen(text);
        assert_eq!(
            chosen("none [integrity] confidentiality\n").as_deref(),
            Some("integrity")
        );
        assert_eq!(chosen(""), None);
    }
}
