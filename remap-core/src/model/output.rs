//! The outputs of the correlation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class::Class;
use super::{
    Closed, Cycle, Finding, InFlightCall, Inferred, Interrupt, IrqChange, Mapped, MappedHow,
    Opened, Stage, StateInterval, Transition, Zap,
};
use crate::event::{Origin, Task};

/// One stage, as soon as it was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageLine {
    /// Name of the device.
    pub device: String,
    /// Region index.
    pub region: u32,
    /// Number of the signal within the trace.
    pub trigger_id: u64,
    /// Which stage.
    pub stage: Stage,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// The thread.
    #[serde(flatten)]
    pub task: Task,
}

/// An output of the correlation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A cycle ended.
    Cycle(Box<Cycle>),
    /// A state change ended.
    Transition(Box<Transition>),
    /// A device left a migration state.
    StateInterval(Box<StateInterval>),
    /// Mappings lost their pages, and what followed.
    Zap(Box<Zap>),
    /// Something is wrong.
    Finding(Finding),
    /// A stage was observed; only with [`Options::stages`](crate::correlate::Options::stages).
    Stage(StageLine),
    /// Interrupts were enabled, disabled, masked, unmasked or triggered; only with
    /// [`Options::interrupts`](crate::correlate::Options::interrupts).
    IrqChange(IrqChange),
    /// A signalled eventfd was read, or taken by the kernel; only with
    /// [`Options::interrupts`](crate::correlate::Options::interrupts).
    Interrupt(Interrupt),
    /// A region was mapped or unmapped, by its user or for DMA; only with
    /// [`Options::mappings`](crate::correlate::Options::mappings).
    Mapped(Mapped),
    /// A device's file was made.
    Opened(Opened),
    /// A device's last file was closed.
    Closed(Closed),
    /// An eventfd is inferred to be a device's.
    Inferred(Inferred),
    /// A call was in flight when the trace began, or has ended.
    InFlightCall(InFlightCall),
}

impl Output {
    /// What it is about.
    pub fn class(&self) -> Class {
        match self {
            Self::Inferred(inferred) if inferred.origin == Origin::StateWritten => Class::Migration,
            Self::Cycle(_) | Self::Stage(_) | Self::Inferred(_) => Class::Remap,
            Self::Transition(_) | Self::StateInterval(_) => Class::Migration,
            Self::IrqChange(_) | Self::Interrupt(_) => Class::Irq,
            Self::Mapped(Mapped {
                how: MappedHow::DmaMap | MappedHow::DmaUnmap,
                ..
            }) => Class::Dma,
            Self::Zap(_) | Self::Mapped(_) => Class::Mapping,
            Self::Opened(_) | Self::Closed(_) => Class::File,
            Self::Finding(_) => Class::Finding,
            Self::InFlightCall(call) => call.class(),
        }
    }

    /// The regions that it is about; empty if it is about none in particular.
    pub fn regions(&self) -> Vec<u32> {
        match self {
            Self::Cycle(cycle) => vec![cycle.region],
            Self::Stage(stage) => vec![stage.region],
            Self::Zap(zap) => zap.regions.iter().map(|region| region.region).collect(),
            Self::Mapped(mapped) => vec![mapped.region],
            Self::Finding(finding) => finding.region.into_iter().collect(),
            Self::Inferred(inferred) => inferred.region.into_iter().collect(),
            Self::Closed(closed) => closed.unanswered.clone(),
            Self::Transition(_)
            | Self::StateInterval(_)
            | Self::IrqChange(_)
            | Self::Interrupt(_)
            | Self::Opened(_)
            | Self::InFlightCall(_) => Vec::new(),
        }
    }

    /// From its first to its last known moment (CLOCK_MONOTONIC ns); all times if none is known.
    pub fn span(&self) -> (u64, u64) {
        let at = |ns| (ns, ns);
        match self {
            Self::Cycle(cycle) => {
                let times = Stage::ALL
                    .iter()
                    .filter_map(|stage| cycle.stages.ns(*stage));
                let times = times.chain(cycle.ack_return_ns);
                let span = times.fold(None, |span: Option<(u64, u64)>, ns| {
                    let (first, last) = span.unwrap_or((ns, ns));
                    Some((first.min(ns), last.max(ns)))
                });
                span.unwrap_or((0, u64::MAX))
            }
            Self::Transition(change) => (change.begin_ns, change.end_ns.unwrap_or(change.begin_ns)),
            Self::StateInterval(interval) => (interval.since_ns, interval.until_ns),
            Self::Zap(zap) => (zap.time_ns, zap.end_ns),
            Self::Interrupt(interrupt) => {
                let first = interrupt.signal_ns.unwrap_or(interrupt.time_ns);
                (first, interrupt.time_ns)
            }
            Self::IrqChange(change) => (change.begin_ns, change.time_ns),
            Self::Finding(finding) => at(finding.time_ns),
            Self::Stage(stage) => at(stage.time_ns),
            Self::Mapped(mapped) => at(mapped.time_ns),
            Self::Opened(opened) => at(opened.time_ns),
            Self::Closed(closed) => at(closed.time_ns),
            Self::Inferred(inferred) => at(inferred.time_ns),
            Self::InFlightCall(call) => at(call.time_ns),
        }
    }

    /// How long it took, ns; `None` for what takes no time, and where that is not known.
    pub fn duration(&self) -> Option<u64> {
        match self {
            Self::Cycle(cycle) => cycle.stages.total(),
            Self::Transition(transition) => transition.duration(),
            Self::StateInterval(interval) => Some(interval.duration()),
            Self::Zap(zap) => zap.duration(),
            Self::Interrupt(interrupt) => interrupt.latency(),
            Self::Finding(_)
            | Self::Stage(_)
            | Self::IrqChange(_)
            | Self::Mapped(_)
            | Self::Opened(_)
            | Self::Closed(_)
            | Self::Inferred(_)
            | Self::InFlightCall(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Task;

    #[test]
    fn a_region_that_is_taken_for_the_migration_region_is_about_migration() {
        let inferred = |origin| {
            let task = Task {
                pid: 1,
                tid: 1,
                comm: "vmm".to_owned(),
            };
            Output::Inferred(Inferred {
                device: "0000:01:00.0".to_owned(),
                time_ns: 1,
                origin,
                region: None,
                task,
            })
        };
        assert_eq!(inferred(Origin::StateWritten).class(), Class::Migration);
        assert_eq!(inferred(Origin::SignalledInside).class(), Class::Remap);
    }
}
