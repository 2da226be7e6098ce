//! What can be found, and what to do about it; `rule` has the evidence that each takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use super::Evidence;

/// What can be found.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
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
    /// A state change was refused with ENODEV, and no call asked for a remap IRQ.
    NeverAsked,
    /// A state change that the state machine does not have.
    ImpossibleChange,
    /// RESUMING could not be left.
    ResumeFailed,
    /// The device is in ERROR.
    ErrorState,
    /// The device is in another state than it was put into.
    UnexpectedState,
    /// The state after a change that failed is not known.
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

impl Rule {
    /// All rules.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// The rule's id in text and JSON.
    pub fn id(self) -> &'static str {
        self.into()
    }

    /// One sentence: what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::AliasedTrigger => {
                "The driver must not signal a bitmap again before the ack; the vectors encoding has no sums."
            }
            Self::SelfTrigger => {
                "Acknowledge by writing 0, which leaves the counter alone, or by an unmask."
            }
            Self::TriggerBeforeAck => {
                "The driver must hold a second signal for a region back until the first is acknowledged."
            }
            Self::OutsideMask => {
                "The driver must only name regions of the mask in its IRQ's capability."
            }
            Self::NamedUnchanged => {
                "The driver should only name regions whose flags or areas change; each costs a round trip."
            }
            Self::AckBeforeRequery => {
                "Ask for the description of every named region before the ack."
            }
            Self::AckWithMapping => {
                "Unmap what the new description no longer allows before the ack."
            }
            Self::MissingAck => "Acknowledge every trigger, also when nothing had to be remapped.",
            Self::NotEnabled => "Enable the remap IRQ with SET_IRQS before the state change.",
            Self::Deadlock => {
                "Answer the remap IRQ on another thread than the one that changes the state."
            }
            Self::WaitTimeout => {
                "See why the driver does not take the ack, or what mapping it still sees."
            }
            Self::StaleSparse => {
                "Look at the mmap flag first: without it the sparse areas are void."
            }
            Self::SizeChanged => {
                "The driver must keep a region's size; only its flags and areas may change."
            }
            Self::MalformedRegionInfo => "The driver must correct its answer to GET_REGION_INFO.",
            Self::MalformedIrqInfo => "The driver must correct its answer to GET_IRQ_INFO.",
            Self::NeverAsked => {
                "Look for a remap IRQ: ask GET_IRQ_INFO for every index, with room for a capability chain."
            }
            Self::ImpossibleChange => {
                "Only ask for what the uAPI's state machine and the device's MIGRATION flags allow; a driver refuses the rest with EINVAL."
            }
            Self::ResumeFailed => {
                "Check that source and destination match and that all data was written; then reset the device."
            }
            Self::ErrorState => {
                "Reset the device (VFIO_DEVICE_RESET), and look for the driver's message in the kernel's log."
            }
            Self::UnexpectedState => {
                "Look for a reset that was not traced; else the driver must report the state that it is in."
            }
            Self::StateUnknown => {
                "After a state change that failed ask for the state (MIG_DEVICE_STATE, GET) or reset the device."
            }
            Self::DataLeft => {
                "Read the data fd until it gives 0 before leaving STOP_COPY; what the destination has is not whole."
            }
            Self::NeverRead => "Read the eventfd when it is signalled, or disable the interrupt.",
            Self::RequestIgnored => {
                "Close the device when REQ is signalled: the unbind waits until then."
            }
            Self::AccessRefused => {
                "Do not touch a region while it is off or trapped; in a guest the access fails, in a process it is SIGBUS."
            }
            Self::DmaMapped => "Unmap a region for DMA before its mmap goes.",
            Self::NeverReturned => {
                "See where its thread waits, and whether anybody reads the remap IRQ and acknowledges it."
            }
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
