//! What a finding was made of: typed, so that a sink makes the sentence and a program need not
//! read one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cause, InFlightCall, IrqName, Rule};
use crate::event::{DeviceState, Errno};
use crate::parse::irq::Encoding;

/// A state change that failed, or that has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedChange {
    /// The state asked for, if it could be read.
    pub to: Option<DeviceState>,
    /// What it failed with; `None`: it has not returned.
    pub errno: Option<Errno>,
    /// How long it took, or has taken so far, ns.
    pub duration_ns: u64,
}

/// Why a state change cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoWay {
    /// The uAPI's state machine has no arcs that lead there.
    Blocked,
    /// The device's migration flags do not include this state.
    Unsupported(DeviceState),
}

/// What the driver named outside of its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// A bit that the mask does not contain.
    Mask {
        /// The bit.
        bit: u32,
        /// The mask, whose bit 0 is the region `base`.
        mask: u64,
        /// The first region.
        base: u32,
    },
    /// A region whose description is refused.
    Refused(Errno),
}

/// What has become of a mapping while its region is mapped for DMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DmaLoss {
    /// It was unmapped.
    Unmapped,
    /// The region's description does not allow it any more.
    Trapped,
}

/// Why an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// A zap had taken the pages out.
    Zapped {
        /// Its cause.
        cause: Cause,
        /// How long before, ns.
        since_ns: u64,
    },
    /// The region's last description does not allow a mapping there.
    Trapped,
    /// Nothing that was seen explains it.
    Unexplained,
}

/// What was seen, for each rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// [`Rule::AliasedTrigger`].
    AliasedTrigger {
        /// What the read got.
        value: u64,
        /// The OR of the signals since the last read.
        or: u64,
        /// How many signals those are.
        signals: usize,
    },
    /// [`Rule::SelfTrigger`].
    SelfTrigger {
        /// What the read got.
        value: u64,
        /// What the driver signalled.
        or: u64,
    },
    /// [`Rule::TriggerBeforeAck`].
    TriggerBeforeAck {
        /// From the first signal to the second, ns.
        after_trigger_ns: u64,
        /// From the second signal to the ack, ns.
        before_ack_ns: u64,
    },
    /// [`Rule::OutsideMask`].
    OutsideMask {
        /// The region that was named.
        region: u32,
        /// Outside of what.
        outside: Outside,
    },
    /// [`Rule::NamedUnchanged`].
    NamedUnchanged,
    /// [`Rule::AckBeforeRequery`].
    AckBeforeRequery {
        /// From the trigger to the ack, ns.
        after_trigger_ns: u64,
    },
    /// [`Rule::AckWithMapping`].
    AckWithMapping {
        /// What was still mapped, bytes.
        bytes: u64,
        /// Where the first of it is, bytes.
        offset: u64,
    },
    /// [`Rule::MissingAck`] that a state change waited for.
    MissingAck {
        /// The change.
        change: FailedChange,
        /// The regions whose trigger was not acknowledged.
        regions: Vec<u32>,
        /// Whether the eventfd was read.
        read: bool,
        /// The IRQ's encoding, which says in what form the ack is due.
        encoding: Encoding,
    },
    /// [`Rule::MissingAck`] outside of state changes.
    ForgottenTrigger {
        /// How long before the trace's end the trigger was, ns.
        since_ns: u64,
        /// Whether the eventfd was read.
        read: bool,
        /// The IRQ's encoding, which says in what form the ack is due.
        encoding: Encoding,
    },
    /// [`Rule::NotEnabled`].
    NotEnabled {
        /// The change.
        change: FailedChange,
    },
    /// [`Rule::Deadlock`].
    Deadlock {
        /// The change.
        change: FailedChange,
        /// Its thread.
        tid: u32,
        /// The regions whose trigger that thread could not read.
        regions: Vec<u32>,
    },
    /// [`Rule::WaitTimeout`].
    WaitTimeout {
        /// The change.
        change: FailedChange,
        /// The regions whose trigger was acknowledged; empty where there was no trigger.
        regions: Vec<u32>,
    },
    /// [`Rule::StaleSparse`].
    StaleSparse,
    /// [`Rule::SizeChanged`].
    SizeChanged {
        /// The size at first, bytes.
        before: u64,
        /// The size now, bytes.
        after: u64,
    },
    /// [`Rule::MalformedRegionInfo`].
    MalformedRegionInfo {
        /// What is wrong with it.
        reason: String,
    },
    /// [`Rule::MalformedIrqInfo`].
    MalformedIrqInfo {
        /// IRQ index.
        index: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// [`Rule::NeverAsked`].
    NeverAsked {
        /// The change.
        change: FailedChange,
    },
    /// [`Rule::ImpossibleChange`] that was refused.
    RefusedChange {
        /// The change.
        change: FailedChange,
        /// The state before.
        from: DeviceState,
        /// Why it cannot be.
        no_way: NoWay,
    },
    /// [`Rule::ImpossibleChange`] that succeeded.
    ImpossibleChange {
        /// The state before.
        from: DeviceState,
        /// The state asked for.
        to: DeviceState,
        /// Why it cannot be.
        no_way: NoWay,
    },
    /// [`Rule::ResumeFailed`].
    ResumeFailed {
        /// The change.
        change: FailedChange,
    },
    /// [`Rule::ErrorState`].
    ErrorState {
        /// The state that it was last known to be in.
        after: Option<DeviceState>,
    },
    /// [`Rule::UnexpectedState`].
    UnexpectedState {
        /// The state that the device reports.
        state: DeviceState,
        /// The state that it was last put into.
        expected: DeviceState,
    },
    /// [`Rule::StateUnknown`].
    StateUnknown {
        /// The state asked for, if it could be read.
        to: Option<DeviceState>,
        /// What the change failed with.
        errno: Errno,
        /// How long before the trace's end, ns.
        since_ns: u64,
    },
    /// [`Rule::DataLeft`].
    DataLeft {
        /// What had been read, bytes.
        read_bytes: u64,
    },
    /// [`Rule::NeverRead`].
    NeverRead {
        /// What the IRQ index is.
        irq: IrqName,
        /// Its sub-indexes that are not read.
        vectors: Vec<u32>,
        /// How long before the trace's end the first signal was, ns.
        since_ns: u64,
    },
    /// [`Rule::RequestIgnored`].
    RequestIgnored {
        /// How long before the trace's end the kernel asked, ns.
        since_ns: u64,
    },
    /// [`Rule::AccessRefused`].
    AccessRefused {
        /// Where in the region, bytes.
        offset: u64,
        /// Why.
        why: Refused,
    },
    /// [`Rule::DmaMapped`].
    DmaMapped {
        /// How much is still mapped for DMA, bytes.
        bytes: u64,
        /// Where the first of it is, bytes.
        offset: u64,
        /// What has become of the mapping.
        loss: DmaLoss,
    },
    /// [`Rule::NeverReturned`].
    NeverReturned {
        /// The call.
        call: Box<InFlightCall>,
        /// How long it has been seen in flight, ns.
        since_ns: u64,
    },
}

impl Evidence {
    /// The rule that it breaks.
    pub fn rule(&self) -> Rule {
        match self {
            Self::AliasedTrigger { .. } => Rule::AliasedTrigger,
            Self::SelfTrigger { .. } => Rule::SelfTrigger,
            Self::TriggerBeforeAck { .. } => Rule::TriggerBeforeAck,
            Self::OutsideMask { .. } => Rule::OutsideMask,
            Self::NamedUnchanged => Rule::NamedUnchanged,
            Self::AckBeforeRequery { .. } => Rule::AckBeforeRequery,
            Self::AckWithMapping { .. } => Rule::AckWithMapping,
            Self::MissingAck { .. } | Self::ForgottenTrigger { .. } => Rule::MissingAck,
            Self::NotEnabled { .. } => Rule::NotEnabled,
            Self::Deadlock { .. } => Rule::Deadlock,
            Self::WaitTimeout { .. } => Rule::WaitTimeout,
            Self::StaleSparse => Rule::StaleSparse,
            Self::SizeChanged { .. } => Rule::SizeChanged,
            Self::MalformedRegionInfo { .. } => Rule::MalformedRegionInfo,
            Self::MalformedIrqInfo { .. } => Rule::MalformedIrqInfo,
            Self::NeverAsked { .. } => Rule::NeverAsked,
            Self::RefusedChange { .. } | Self::ImpossibleChange { .. } => Rule::ImpossibleChange,
            Self::ResumeFailed { .. } => Rule::ResumeFailed,
            Self::ErrorState { .. } => Rule::ErrorState,
            Self::UnexpectedState { .. } => Rule::UnexpectedState,
            Self::StateUnknown { .. } => Rule::StateUnknown,
            Self::DataLeft { .. } => Rule::DataLeft,
            Self::NeverRead { .. } => Rule::NeverRead,
            Self::RequestIgnored { .. } => Rule::RequestIgnored,
            Self::AccessRefused { .. } => Rule::AccessRefused,
            Self::DmaMapped { .. } => Rule::DmaMapped,
            Self::NeverReturned { .. } => Rule::NeverReturned,
        }
    }
}
