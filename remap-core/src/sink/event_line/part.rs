//! What events of several kinds speak of.

use serde::Serialize;

use super::Keys;
use crate::event::{
    ContextKey, FaultOutcome, Node, NodeKey, Origin, Role, Target, UNKNOWN_INDEX, ZapCause,
    feature_name,
};

#[derive(Serialize)]
pub(super) struct TargetLine {
    /// Number of the eventfd context within the trace, from 1.
    context: u64,
    /// Null where it is inferred to be the device's and nobody knows as what, and where it is no
    /// interrupt.
    irq_index: Option<u32>,
    sub_index: Option<u32>,
    role: &'static str,
}

impl TargetLine {
    pub(super) fn of(context: ContextKey, target: Target, keys: &mut Keys) -> Self {
        let known = target.index != UNKNOWN_INDEX;
        Self {
            context: keys.context(context),
            irq_index: known.then_some(target.index),
            sub_index: known.then_some(target.sub),
            role: match target.role {
                Role::Trigger => "trigger",
                Role::Mask => "mask",
                Role::Unmask => "unmask",
                Role::Wakeup => "wakeup",
            },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(super) enum CauseLine {
    Ioctl {
        request: u32,
        feature: Option<u32>,
        feature_name: Option<&'static str>,
    },
    ConfigWrite {
        offset: u64,
        value: Option<u32>,
    },
    StateWrite,
    Unknown,
}

impl CauseLine {
    pub(super) fn of(cause: ZapCause) -> Self {
        match cause {
            ZapCause::Ioctl { request, feature } => Self::Ioctl {
                request,
                feature,
                feature_name: feature.and_then(feature_name),
            },
            ZapCause::ConfigWrite { offset, value } => Self::ConfigWrite { offset, value },
            ZapCause::StateWrite => Self::StateWrite,
            ZapCause::Unknown => Self::Unknown,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(in crate::sink) enum NodeLine {
    Group { number: Option<u32> },
    Container { node: u64 },
    Cdev { number: Option<u32> },
    Iommufd { node: u64 },
}

impl NodeLine {
    pub(in crate::sink) fn of(node: Node, keys: &mut Keys) -> Self {
        let mut named = |key: NodeKey| keys.node(key);
        match node {
            Node::Group { number } => Self::Group { number },
            Node::Container { key } => Self::Container { node: named(key) },
            Node::Cdev { number } => Self::Cdev { number },
            Node::Iommufd { key } => Self::Iommufd { node: named(key) },
        }
    }
}

/// How it came to be known.
pub(in crate::sink) fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Seen => "seen",
        Origin::Found => "found",
        Origin::SignalledInside => "signalled_inside",
        Origin::ReadBeforeRequery => "read_before_requery",
        Origin::StateWritten => "state_written",
    }
}

pub(super) fn outcome_name(outcome: FaultOutcome) -> &'static str {
    match outcome {
        FaultOutcome::Populated { .. } => "populated",
        FaultOutcome::Refused => "refused",
        FaultOutcome::RefusedForDma => "refused_for_dma",
        FaultOutcome::Fallback => "fallback",
        FaultOutcome::Other(_) => "other",
    }
}
