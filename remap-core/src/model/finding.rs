//! The rules whose violations are reported, with advice; `correlate::rules` has their facts.

use macro_rules_attribute::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::word::kebab_word;

/// What can be found.
#[apply(kebab_word!)]
pub enum Rule {
    /// A read got the sum of the signals, which is not their OR.
    AliasedTrigger,
    /// A read got a value that user space had written itself.
    SelfTrigger,
    /// The driver signalled a region again before the ack.
    TriggerBeforeAck,
    /// The driver named a region outside of its mask, or one that does not exist.
    OutsideMask,
    /// The driver named a region that did not change.
    NamedUnchanged,
    /// User space acknowledged without asking for the region's description.
    AckBeforeRequery,
    /// User space acknowledged while it had a mapping that the region no longer allows.
    AckWithMapping,
    /// User space did not acknowledge.
    MissingAck,
    /// The state change was refused because the remap IRQ is not enabled.
    NotEnabled,
    /// The thread that changes the state is the one that has to answer.
    Deadlock,
    /// The state change timed out although every trigger was acknowledged.
    WaitTimeout,
    /// A region without the mmap flag has a sparse mmap capability.
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
    /// The device is in another state than the last one that was set.
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
    /// A call that was in flight when the trace began has not returned.
    NeverReturned,
}

impl Rule {
    /// One sentence: what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::AliasedTrigger => {
                "The driver must not signal a bitmap again before the ack; the vectors encoding does not have this problem."
            }
            Self::SelfTrigger => {
                "Acknowledge by writing 0, which does not change the counter, or by an unmask."
            }
            Self::TriggerBeforeAck => {
                "The driver must delay a second signal for a region until the first is acknowledged."
            }
            Self::OutsideMask => {
                "The driver must only name regions that the mask in its IRQ's capability contains."
            }
            Self::NamedUnchanged => {
                "The driver should only name regions whose flags or areas change; each named region costs a query and an ack."
            }
            Self::AckBeforeRequery => "Call GET_REGION_INFO for every named region before the ack.",
            Self::AckWithMapping => {
                "Before the ack, unmap everything that the new description does not allow."
            }
            Self::MissingAck => "Acknowledge every trigger, also if nothing had to be remapped.",
            Self::NotEnabled => "Enable the remap IRQ with SET_IRQS before the state change.",
            Self::Deadlock => {
                "Answer the remap IRQ on another thread than the one that changes the state."
            }
            Self::WaitTimeout => {
                "Find out why the driver ignores the ack, or which mapping still exists."
            }
            Self::StaleSparse => {
                "User space must check the mmap flag first: without it the sparse areas have no meaning."
            }
            Self::SizeChanged => {
                "The driver must keep a region's size; only its flags and areas may change."
            }
            Self::MalformedRegionInfo => "The driver must correct its answer to GET_REGION_INFO.",
            Self::MalformedIrqInfo => "The driver must correct its answer to GET_IRQ_INFO.",
            Self::NeverAsked => {
                "Look for a remap IRQ: call GET_IRQ_INFO for every index, with a buffer large enough for a capability chain."
            }
            Self::ImpossibleChange => {
                "Only request changes that the uAPI's state machine and the device's MIGRATION flags allow; a driver refuses others with EINVAL."
            }
            Self::ResumeFailed => {
                "Check that source and destination match, and that all data was written; then reset the device."
            }
            Self::ErrorState => {
                "Reset the device (VFIO_DEVICE_RESET), and look for the driver's message in the kernel log."
            }
            Self::UnexpectedState => {
                "Look for a reset that was not traced. If there was none, the driver reports a wrong state."
            }
            Self::StateUnknown => {
                "After a failed state change, query the state (MIG_DEVICE_STATE, GET) or reset the device."
            }
            Self::DataLeft => {
                "Read the data fd until a read returns 0 before the device leaves STOP_COPY; the destination's data is incomplete."
            }
            Self::NeverRead => "Read the eventfd when it is signalled, or disable the interrupt.",
            Self::RequestIgnored => {
                "Close the device when REQ is signalled: the unbind waits for that."
            }
            Self::AccessRefused => {
                "Do not access a region while its memory is disabled or it is trapped: the access of a guest fails, a process gets SIGBUS."
            }
            Self::DmaMapped => "Remove the DMA mapping of a region before its mmap.",
            Self::NeverReturned => {
                "Look at where its thread waits, and whether a process reads the remap IRQ and acknowledges it."
            }
        }
    }
}

/// A violation of a rule, or another problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// When it was found (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// Name of the device.
    pub device: String,
    /// Region index, if it concerns one region.
    pub region: Option<u32>,
    /// Number of the trigger, if it concerns one.
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
