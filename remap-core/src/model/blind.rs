//! Times in which hooks did not fire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use macro_rules_attribute::apply;

use crate::word::word;

/// The hooks that did not fire.
#[apply(word!)]
pub enum BlindHooks {
    /// Every hook.
    All,
    /// Those that are kprobes, which all hooks of VFIO's own functions are.
    Kprobe,
    /// Those that use fentry and fexit.
    Fentry,
}

impl BlindHooks {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::All => "the hooks",
            Self::Kprobe => "the hooks that are kprobes",
            Self::Fentry => "the hooks that use fentry and fexit",
        }
    }
}

/// What switched them off.
#[apply(word!)]
pub enum BlindCause {
    /// `/sys/kernel/debug/kprobes/enabled` is 0.
    KprobesDisarmed,
    /// `kernel.ftrace_enabled` is 0.
    FtraceDisabled,
    /// Neither switch is off, or they cannot be read.
    Unknown,
}

impl BlindCause {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::KprobesDisarmed => {
                "kprobes are disarmed (/sys/kernel/debug/kprobes/enabled is 0)"
            }
            Self::FtraceDisabled => "ftrace is off (kernel.ftrace_enabled is 0)",
            Self::Unknown => "the kernel does not run them, for a reason that is not known",
        }
    }

    /// What to do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::KprobesDisarmed => "`echo 1 > /sys/kernel/debug/kprobes/enabled`",
            Self::FtraceDisabled => "`sysctl kernel.ftrace_enabled=1`",
            Self::Unknown => {
                "check kernel.ftrace_enabled and /sys/kernel/debug/kprobes/enabled, and load the \
                 programs again"
            }
        }
    }
}

/// A time in which hooks did not fire: what happened then is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blind {
    /// Since when at the earliest: when hooks were last seen to fire (CLOCK_MONOTONIC ns).
    pub since_ns: u64,
    /// When they were seen to fire again, or when the trace ended (CLOCK_MONOTONIC ns); null as long as
    /// they do not.
    pub until_ns: Option<u64>,
    /// Which hooks.
    pub hooks: BlindHooks,
    /// Why.
    pub cause: BlindCause,
}

impl Blind {
    /// How long it was at most, ns; `None` as long as it lasts.
    pub fn duration(&self) -> Option<u64> {
        Some(self.until_ns?.saturating_sub(self.since_ns))
    }
}
