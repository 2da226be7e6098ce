//! What can be found, and what to do about it; `rule` has the evidence that each takes.

use super::Evidence;

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A read got the sum of the addends, and it is not their OR.
    AliasedTrigger,
    /// A read got user space's own write.
    SelfTrigger,
    /// The driver signalled a region again before the ack.
    TriggerBeforeAck,
    /// The driver named a region outside of its mask, or one that does not exist.
    OutsideMask,
    /// The driver named a region that did not change.
    NamedUnchanged,
    /// User space acknowledged without asking for the region's description.
    AckBeforeRequery,
    /// User space acknowledged while it had mapped what the region no longer allows.
    AckWithMapping,
    /// User space did not acknowledge.
    MissingAck,
    /// The state change was refused because the remap IRQ is not enabled.
    NotEnabled,
    /// The thread that changes the state is the one that would have to answer.
    Deadlock,
    /// The state change timed out although every trigger was acknowledged.
    WaitTimeout,
    /// The sparse capability outlived the mmap flag.
    StaleSparse,
    /// A region's size changed.
    SizeChanged,
    /// The region's description contradicts itself.
    MalformedRegionInfo,
    /// The IRQ's description contradicts itself.
    MalformedIrqInfo,
    /// A state change was refused with ENODEV, and nobody has looked for a remap IRQ.
    NeverAsked,
    /// A state change that the state machine does not have.
    ImpossibleChange,
    /// RESUMING could not be left.
    ResumeFailed,
    /// The device is in ERROR.
    ErrorState,
    /// The device is in another state than it was put into.
    UnexpectedState,
    /// Nobody knows the state after a change that failed.
    StateUnknown,
    /// STOP_COPY was left before its data was read to the end.
    DataLeft,
    /// An interrupt's eventfd is not read.
    NeverRead,
    /// The kernel asked for the device back, and it was not closed.
    RequestIgnored,
    /// An access to a mapped region was refused.
    AccessRefused,
    /// A region lost its mmap while it is mapped for DMA.
    DmaMapped,
    /// A call that was under way when the trace began has not returned.
    NeverReturned,
}

/// Every rule, its id in text and JSON, and one sentence of advice.
pub const RULES: [(Rule, &str, &str); 27] = [
    (
        Rule::AliasedTrigger,
        "aliased-trigger",
        "The driver must not signal a bitmap again before the ack; the vectors encoding has no sums.",
    ),
    (
        Rule::SelfTrigger,
        "self-trigger",
        "Acknowledge by writing 0, which leaves the counter alone, or by an unmask.",
    ),
    (
        Rule::TriggerBeforeAck,
        "trigger-before-ack",
        "The driver must hold a second signal for a region back until the first is acknowledged.",
    ),
    (
        Rule::OutsideMask,
        "outside-mask",
        "The driver must only name regions of the mask in its IRQ's capability.",
    ),
    (
        Rule::NamedUnchanged,
        "named-unchanged",
        "The driver should only name regions whose flags or areas change; each costs a round trip.",
    ),
    (
        Rule::AckBeforeRequery,
        "ack-before-requery",
        "Ask for the description of every named region before the ack.",
    ),
    (
        Rule::AckWithMapping,
        "ack-with-mapping",
        "Unmap what the new description no longer allows before the ack.",
    ),
    (
        Rule::MissingAck,
        "missing-ack",
        "Acknowledge every trigger, also when nothing had to be remapped.",
    ),
    (
        Rule::NotEnabled,
        "not-enabled",
        "Enable the remap IRQ with SET_IRQS before the state change.",
    ),
    (
        Rule::Deadlock,
        "deadlock",
        "Answer the remap IRQ on another thread than the one that changes the state.",
    ),
    (
        Rule::WaitTimeout,
        "wait-timeout",
        "See why the driver does not take the ack, or what mapping it still sees.",
    ),
    (
        Rule::StaleSparse,
        "stale-sparse",
        "Look at the mmap flag first: without it the sparse areas are void.",
    ),
    (
        Rule::SizeChanged,
        "size-changed",
        "The driver must keep a region's size; only its flags and areas may change.",
    ),
    (
        Rule::MalformedRegionInfo,
        "malformed-region-info",
        "The driver must correct its answer to GET_REGION_INFO.",
    ),
    (
        Rule::MalformedIrqInfo,
        "malformed-irq-info",
        "The driver must correct its answer to GET_IRQ_INFO.",
    ),
    (
        Rule::NeverAsked,
        "never-asked",
        "Look for a remap IRQ: ask GET_IRQ_INFO for every index, with room for a capability chain.",
    ),
    (
        Rule::ImpossibleChange,
        "impossible-change",
        "Only ask for what the uAPI's state machine and the device's MIGRATION flags allow; a driver refuses the rest with EINVAL.",
    ),
    (
        Rule::ResumeFailed,
        "resume-failed",
        "Check that source and destination match and that all data was written; then reset the device.",
    ),
    (
        Rule::ErrorState,
        "error-state",
        "Reset the device (VFIO_DEVICE_RESET), and look for the driver's message in the kernel's log.",
    ),
    (
        Rule::UnexpectedState,
        "unexpected-state",
        "Look for a reset that was not traced; else the driver must report the state that it is in.",
    ),
    (
        Rule::StateUnknown,
        "state-unknown",
        "After a state change that failed ask for the state (MIG_DEVICE_STATE, GET) or reset the device.",
    ),
    (
        Rule::DataLeft,
        "data-left",
        "Read the data fd until it gives 0 before leaving STOP_COPY; what the destination has is not whole.",
    ),
    (
        Rule::NeverRead,
        "never-read",
        "Read the eventfd when it is signalled, or disable the interrupt.",
    ),
    (
        Rule::RequestIgnored,
        "request-ignored",
        "Close the device when REQ is signalled: whoever unbinds it waits until then.",
    ),
    (
        Rule::AccessRefused,
        "access-refused",
        "Do not touch a region while it is off or trapped; in a guest the access fails, in a process it is SIGBUS.",
    ),
    (
        Rule::DmaMapped,
        "dma-mapped",
        "Unmap a region for DMA before its mmap goes.",
    ),
    (
        Rule::NeverReturned,
        "never-returned",
        "See where its thread waits, and whether anybody reads the remap IRQ and acknowledges it.",
    ),
];

impl Rule {
    /// The rule's id in text and JSON.
    pub fn id(self) -> &'static str {
        self.row().1
    }

    /// One sentence: what to do.
    pub fn advice(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        // The table is in the order of the enum, which a test checks.
        &RULES[self as usize]
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// When it became evident (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// Name of the device.
    pub device: String,
    /// Region index, where it is about one.
    pub region: Option<u32>,
    /// The trigger that it is about, where it is about one.
    pub trigger_id: Option<u64>,
    /// What was seen.
    pub evidence: Evidence,
}

impl Finding {
    /// Which rule it breaks.
    pub fn rule(&self) -> Rule {
        self.evidence.rule()
    }
}
