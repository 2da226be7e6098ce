//! The table of derived events.

use macro_rules_attribute::apply;

use crate::word::word;

/// A kind of derived event. Its number in the list is a part of the format of perf.data files.
#[apply(word!)]
pub enum Kind {
    /// A region that a trigger named, from the trigger to the release.
    Cycle,
    /// A stage of a cycle, since the stage before it.
    Stage,
    /// A state change.
    Transition,
    /// The time that a device was in one migration state.
    StateInterval,
    /// A signalled eventfd was read, or taken by the kernel.
    Interrupt,
    /// Mappings lost their pages; the time until the last fault that populated.
    Zap,
    /// A call on a device, or a fault on one of its mappings.
    Call,
    /// A violation of a rule.
    Finding,
    /// The time in which a virtual machine ran nowhere.
    Downtime,
    /// A time in which hooks did not fire: nothing is known of it.
    Blind,
}

/// A value of a derived event.
#[apply(word!)]
pub enum Column {
    /// The device's name.
    Device,
    /// Region index.
    Region,
    /// When it began (CLOCK_MONOTONIC ns).
    BeginNs,
    /// How long it took, ns.
    DurationNs,
    /// How it ended, in a word.
    Outcome,
    /// `ok`, or the name of the errno.
    Errno,
    /// Number of the signal within the trace.
    TriggerId,
    /// Number of the state change within the trace.
    TransitionId,
    /// The stage of a cycle.
    Stage,
    /// The state before.
    From,
    /// The state asked for.
    To,
    /// The state of an interval.
    State,
    /// How long the driver waited for user space, ns.
    WaitedNs,
    /// The cause of a zap.
    Cause,
    /// Faults that populated.
    Faults,
    /// Faults that were refused.
    Refused,
    /// What was populated or transferred, bytes.
    Bytes,
    /// What an IRQ index is.
    Irq,
    /// IRQ index.
    IrqIndex,
    /// Sub-index.
    SubIndex,
    /// How many signals a read got.
    Signals,
    /// The call.
    Call,
    /// The rule of a finding.
    Rule,
    /// One sentence.
    Text,
}

impl Column {
    /// Whether it has text; else numbers.
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Self::Device
                | Self::Outcome
                | Self::Errno
                | Self::Stage
                | Self::From
                | Self::To
                | Self::State
                | Self::Cause
                | Self::Irq
                | Self::Call
                | Self::Rule
                | Self::Text
        )
    }
}

impl Kind {
    /// What its events have, where it is known.
    pub fn columns(self) -> &'static [Column] {
        use Column::{
            BeginNs, Bytes, Call, Cause, Device, DurationNs, Errno, Faults, From, Irq, IrqIndex,
            Outcome, Refused, Region, Rule, Signals, Stage, State, SubIndex, Text, To,
            TransitionId, TriggerId, WaitedNs,
        };
        match self {
            Self::Cycle => &[
                Device,
                Region,
                TriggerId,
                TransitionId,
                Outcome,
                Errno,
                BeginNs,
                DurationNs,
                Text,
            ],
            Self::Stage => &[
                Device, Region, TriggerId, Stage, Outcome, BeginNs, DurationNs,
            ],
            Self::Transition => &[
                Device,
                TransitionId,
                From,
                To,
                Errno,
                BeginNs,
                DurationNs,
                WaitedNs,
            ],
            Self::StateInterval => &[Device, State, Outcome, BeginNs, DurationNs],
            Self::Interrupt => &[
                Device, Irq, IrqIndex, SubIndex, Signals, Outcome, BeginNs, DurationNs,
            ],
            Self::Zap => &[
                Device,
                Region,
                TransitionId,
                Cause,
                Outcome,
                Faults,
                Refused,
                Bytes,
                BeginNs,
                DurationNs,
            ],
            Self::Call => &[
                Device, Region, Call, Outcome, Errno, Bytes, BeginNs, DurationNs,
            ],
            Self::Finding => &[Device, Region, TriggerId, Rule, Text],
            Self::Downtime => &[Outcome, BeginNs, DurationNs, Text],
            Self::Blind => &[Cause, BeginNs, DurationNs, Text],
        }
    }
}
