//! One line of `remap trace --json`: the contract of `docs/json.md`, from which
//! `docs/schema/remap.schema.json` is made.
//!
//! Times are CLOCK_MONOTONIC nanoseconds; null means that something was not observed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sentence;
use crate::event::Event;
use crate::model::{
    Blind, Closed, Cycle, Finding, InFlightCall, Inferred, Interrupt, IrqChange, Mapped, Opened,
    Output, Rule, StageLine, StateInterval, Summary, Transition, Zap,
};
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};

/// One line of `remap trace --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line<'a> {
    /// A cycle ended.
    Cycle {
        /// The cycle.
        #[serde(flatten)]
        cycle: Cow<'a, Cycle>,
        /// One sentence: why it is neither `remapped` nor `unchanged`.
        reason: Option<String>,
    },
    /// A state change ended.
    Transition(Cow<'a, Transition>),
    /// Something is wrong.
    Finding {
        /// The rule.
        rule: Rule,
        /// What.
        #[serde(flatten)]
        finding: Cow<'a, Finding>,
        /// One sentence: what was seen.
        text: String,
        /// One sentence: what to do.
        advice: Cow<'a, str>,
    },
    /// A stage was observed; with `--stages`.
    Stage(Cow<'a, StageLine>),
    /// A device left a migration state.
    StateInterval(Cow<'a, StateInterval>),
    /// Mappings lost their pages, and what followed.
    Zap {
        /// What happened.
        #[serde(flatten)]
        zap: Cow<'a, Zap>,
        /// The cause in words.
        cause_text: String,
    },
    /// Interrupts were enabled, disabled, masked, unmasked or triggered; with `--class irq`.
    IrqChange(Cow<'a, IrqChange>),
    /// A signalled eventfd was read, or taken by the kernel; with `--class irq`.
    Interrupt(Cow<'a, Interrupt>),
    /// A region was mapped or unmapped, by its user or for DMA; with `--class mapping` or `dma`.
    Mapped(Cow<'a, Mapped>),
    /// A device's file was made.
    Opened(Cow<'a, Opened>),
    /// A device's last file was closed.
    Closed {
        /// The close.
        #[serde(flatten)]
        closed: Cow<'a, Closed>,
        /// One sentence: the state at the close.
        text: String,
    },
    /// An eventfd is inferred to be a device's.
    Inferred {
        /// What is inferred.
        #[serde(flatten)]
        inferred: Cow<'a, Inferred>,
        /// One sentence: why.
        text: String,
    },
    /// A call was in flight when the trace began, or is over.
    InFlightCall {
        /// The call.
        #[serde(flatten)]
        call: Cow<'a, InFlightCall>,
        /// The call in words.
        what: String,
        /// Whether it is over.
        over: bool,
    },
    /// A record as it arrived; with `--events`.
    Event {
        /// Name of the device; null for what is about no single device.
        device: Option<Cow<'a, str>>,
        /// What happened.
        #[serde(flatten)]
        event: Cow<'a, Event>,
    },
    /// A point of a migration, from a VMM's log; with `--qemu-log`.
    Checkpoint(Cow<'a, Checkpoint>),
    /// The time in which a virtual machine ran nowhere; with `--qemu-log`.
    Downtime(Cow<'a, Downtime>),
    /// Lines are missing here: the reader of the output did not read.
    Dropped {
        /// How many.
        lines: u64,
    },
    /// Hooks do not fire, or fire again: what happens meanwhile is not known.
    Blind {
        /// The time.
        #[serde(flatten)]
        blind: Cow<'a, Blind>,
        /// One sentence: which hooks, and why.
        text: String,
        /// One sentence: what to do.
        advice: Cow<'a, str>,
    },
    /// The last line: what it all adds up to.
    Summary {
        /// All cycles.
        cycles: u64,
        /// All state changes.
        transitions: u64,
        /// All findings, by rule.
        findings: BTreeMap<Rule, u64>,
        /// The rest.
        #[serde(flatten)]
        summary: Cow<'a, Summary>,
    },
}

impl<'a> Line<'a> {
    /// An output of the correlation.
    pub fn of(output: &'a Output) -> Self {
        match output {
            Output::Cycle(cycle) => Self::Cycle {
                reason: sentence::reason(cycle),
                cycle: Cow::Borrowed(cycle),
            },
            Output::Transition(transition) => Self::Transition(Cow::Borrowed(transition)),
            Output::Finding(finding) => Self::Finding {
                rule: finding.rule(),
                finding: Cow::Borrowed(finding),
                text: sentence::finding(&finding.evidence),
                advice: finding.rule().advice().into(),
            },
            Output::Stage(stage) => Self::Stage(Cow::Borrowed(stage)),
            Output::StateInterval(interval) => Self::StateInterval(Cow::Borrowed(interval)),
            Output::Zap(zap) => Self::Zap {
                zap: Cow::Borrowed(zap),
                cause_text: zap.cause.to_string(),
            },
            Output::IrqChange(change) => Self::IrqChange(Cow::Borrowed(change)),
            Output::Interrupt(interrupt) => Self::Interrupt(Cow::Borrowed(interrupt)),
            Output::Mapped(mapped) => Self::Mapped(Cow::Borrowed(mapped)),
            Output::Opened(opened) => Self::Opened(Cow::Borrowed(opened)),
            Output::Closed(closed) => Self::Closed {
                text: sentence::closed(closed),
                closed: Cow::Borrowed(closed),
            },
            Output::Inferred(inferred) => Self::Inferred {
                text: sentence::inferred(inferred),
                inferred: Cow::Borrowed(inferred),
            },
            Output::InFlightCall(call) => Self::InFlightCall {
                call: Cow::Borrowed(call),
                what: call.what(),
                over: call.last_seen_ns.is_some(),
            },
        }
    }

    /// A single event, of a device with the name `device`.
    pub fn event(event: &'a Event, device: &'a str) -> Self {
        Self::Event {
            device: event.device().map(|_| device.into()),
            event: Cow::Borrowed(event),
        }
    }

    /// A point of a migration.
    pub fn checkpoint(checkpoint: &'a Checkpoint) -> Self {
        Self::Checkpoint(Cow::Borrowed(checkpoint))
    }

    /// The time in which a virtual machine ran nowhere.
    pub fn downtime(downtime: &'a Downtime) -> Self {
        Self::Downtime(Cow::Borrowed(downtime))
    }

    /// Hooks do not fire, or fire again.
    pub fn blind(blind: &'a Blind) -> Self {
        Self::Blind {
            text: sentence::blind(blind),
            advice: blind.cause.remedy().into(),
            blind: Cow::Borrowed(blind),
        }
    }

    /// The end of the trace.
    pub fn summary(summary: &'a Summary) -> Self {
        Self::Summary {
            cycles: summary.stats.cycles(),
            transitions: summary.stats.transitions(),
            findings: summary.stats.findings(),
            summary: Cow::Borrowed(summary),
        }
    }
}
