//! The capabilities that each command needs, and for what. The lab tries them out (`rights::` of its
//! tests).

use rustix::thread::CapabilitySet;

/// One purpose.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// The command.
    pub command: &'static str,
    /// What it can do with them; the command itself, if empty.
    pub purpose: &'static str,
    /// Sets that suffice, each on its own.
    pub sets: &'static [CapabilitySet],
    /// The condition of the last set.
    pub condition: &'static str,
}

const ADMIN: CapabilitySet = CapabilitySet::SYS_ADMIN;
const ATTACH: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::PERFMON);
const BECOME: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// All of them. `list`, `serve` and `drill` need none otherwise, but access to the nodes of the device.
pub const NEEDS: [Need; 7] = [
    Need {
        command: "trace, doctor",
        purpose: "",
        sets: &[ADMIN, ATTACH],
        condition: " where kernel.perf_event_paranoid is at most 2",
    },
    of(
        "trace",
        "devices, interrupts and mappings from before it",
        &[CapabilitySet::SYSLOG],
    ),
    of(
        "trace",
        "calls of other users that are in flight when it begins",
        &[CapabilitySet::SYS_PTRACE],
    ),
    of(
        "trace",
        "how many calls a kprobe missed (from Linux 6.7 on)",
        &[ADMIN],
    ),
    of(
        "trace --qemu-log",
        "logs that belong to other users",
        &[CapabilitySet::DAC_READ_SEARCH],
    ),
    of(
        "list, serve, drill",
        "the processes of other users that hold a device",
        &[CapabilitySet::SYS_PTRACE],
    ),
    of("serve --user", "", &[BECOME]),
];

const fn of(command: &'static str, purpose: &'static str, sets: &'static [CapabilitySet]) -> Need {
    Need {
        command,
        purpose,
        sets,
        condition: "",
    }
}

impl Need {
    /// Whether these capabilities suffice, apart from the condition.
    pub fn is_met(&self, own: CapabilitySet) -> bool {
        self.sets.iter().any(|set| own.contains(*set))
    }

    /// The sets in words.
    pub fn words(&self) -> String {
        let words: Vec<String> = self
            .sets
            .iter()
            .map(|set| super::capabilities::names(*set).replace(", ", " and "))
            .collect();
        format!("{}{}", words.join(", or "), self.condition)
    }

    /// The command, and the purpose.
    pub fn what(&self) -> String {
        match self.purpose {
            "" => self.command.to_owned(),
            purpose => format!("{}: {purpose}", self.command),
        }
    }
}

/// The section of the manual.
pub fn section() -> String {
    let mut text = "Capabilities, each of which root has:\n".to_owned();
    for need in &NEEDS {
        text.push_str(&format!("\n  {}\n    {}\n", need.what(), need.words()));
    }
    text.push_str(
        "\nlist, serve and drill need access to the nodes of the device in /dev/vfio, and none otherwise. \
         Once its probes are attached, a trace gives up what it does not need any more; \
         `trace --no-reattach` gives up all.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_names_what_suffices() {
        let trace = &NEEDS[0];
        assert_eq!(
            trace.words(),
            "CAP_SYS_ADMIN, or CAP_PERFMON and CAP_BPF where kernel.perf_event_paranoid is at most 2"
        );
        assert!(trace.is_met(ADMIN) && trace.is_met(ATTACH | CapabilitySet::SYSLOG));
        assert!(!trace.is_met(CapabilitySet::BPF));
        assert_eq!(NEEDS[6].what(), "serve --user");
        assert!(section().contains("trace: devices, interrupts and mappings from before it\n"));
    }
}
