//! One cycle: a region that was named by one trigger, and what was done about it.
//!
//! ```text
//! trigger → wake → requery → unmap → map → ack → released
//! driver    user   user      user    user  user  driver
//! ```

use std::collections::BTreeMap;

use macro_rules_attribute::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TransitionRef;
use crate::event::{Errno, Origin, Task};
use crate::parse::irq::Encoding;
use crate::parse::region::{Areas, Region};
use crate::word::word;

/// A step of a cycle, in the order of the protocol.
#[apply(word!)]
pub enum Stage {
    /// The driver signals the eventfd.
    Trigger,
    /// User space has read the eventfd.
    Wake,
    /// User space has asked for the region's description.
    Requery,
    /// User space has removed the last mapping before it mapped or acknowledged.
    Unmap,
    /// User space has mapped anew.
    Map,
    /// User space acknowledges: the entry of the write or of the ioctl.
    Ack,
    /// The driver goes on: see [`ReleasedSource`].
    Released,
}

/// When a stage was observed, and in which thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// CLOCK_MONOTONIC, ns.
    pub ns: u64,
    /// The thread.
    pub task: Task,
}

/// The stages of one cycle, as far as they were observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "StageFields", from = "StageFields")]
pub struct Stages([Option<Stamp>; 7]);

impl Stages {
    /// What was observed of `stage`.
    pub fn get(&self, stage: Stage) -> Option<&Stamp> {
        self.0[stage as usize].as_ref()
    }

    /// When `stage` was observed (CLOCK_MONOTONIC ns).
    pub fn ns(&self, stage: Stage) -> Option<u64> {
        self.get(stage).map(|stamp| stamp.ns)
    }

    /// Whether `stage` was observed.
    pub fn has(&self, stage: Stage) -> bool {
        self.get(stage).is_some()
    }

    pub(crate) fn set(&mut self, stage: Stage, ns: u64, task: &Task) {
        self.0[stage as usize] = Some(Stamp {
            ns,
            task: task.clone(),
        });
    }

    pub(crate) fn clear(&mut self, stage: Stage) {
        self.0[stage as usize] = None;
    }

    /// How long `stage` took, ns: since the observed stage before it. Unmap and map may be absent
    /// for good; any other gap makes the duration unknown, and so does a stage out of order.
    pub fn duration(&self, stage: Stage) -> Option<u64> {
        let ns = self.ns(stage)?;
        for before in Stage::ALL[..stage as usize].iter().rev() {
            match self.ns(*before) {
                Some(before_ns) => return ns.checked_sub(before_ns),
                None if matches!(before, Stage::Unmap | Stage::Map) => {}
                None => return None,
            }
        }
        None
    }

    /// From the trigger to the release, ns.
    pub fn total(&self) -> Option<u64> {
        self.ns(Stage::Released)?
            .checked_sub(self.ns(Stage::Trigger)?)
    }

    /// The stage that took longest, and how long, ns.
    pub fn slowest(&self) -> Option<(Stage, u64)> {
        let stages = Stage::ALL.iter().copied();
        stages
            .filter_map(|stage| Some((stage, self.duration(stage)?)))
            .max_by_key(|(_, ns)| *ns)
    }
}

/// The stages as they are written.
#[derive(Serialize, Deserialize, JsonSchema)]
struct StageFields {
    /// When the driver signalled the eventfd.
    trigger_ns: Option<u64>,
    /// When user space had read it.
    wake_ns: Option<u64>,
    /// When user space had asked for the region's description.
    requery_ns: Option<u64>,
    /// When user space had removed the last mapping.
    unmap_ns: Option<u64>,
    /// When user space had mapped anew.
    map_ns: Option<u64>,
    /// When user space acknowledged.
    ack_ns: Option<u64>,
    /// When the driver went on.
    released_ns: Option<u64>,
    /// The process that answered: of the thread that woke.
    pid: Option<u32>,
    /// The command name of that thread.
    comm: Option<String>,
    /// The thread of each stage that was observed.
    threads: BTreeMap<Stage, Task>,
}

impl From<Stages> for StageFields {
    fn from(stages: Stages) -> Self {
        let woken = stages.get(Stage::Wake).map(|stamp| &stamp.task);
        let thread = |stage| Some((stage, stages.get(stage)?.task.clone()));
        Self {
            trigger_ns: stages.ns(Stage::Trigger),
            wake_ns: stages.ns(Stage::Wake),
            requery_ns: stages.ns(Stage::Requery),
            unmap_ns: stages.ns(Stage::Unmap),
            map_ns: stages.ns(Stage::Map),
            ack_ns: stages.ns(Stage::Ack),
            released_ns: stages.ns(Stage::Released),
            pid: woken.map(|task| task.pid),
            comm: woken.map(|task| task.comm.clone()),
            threads: Stage::ALL.iter().copied().filter_map(thread).collect(),
        }
    }
}

impl From<StageFields> for Stages {
    fn from(fields: StageFields) -> Self {
        let times = [
            fields.trigger_ns,
            fields.wake_ns,
            fields.requery_ns,
            fields.unmap_ns,
            fields.map_ns,
            fields.ack_ns,
            fields.released_ns,
        ];
        let mut stages = Self::default();
        for (stage, ns) in Stage::ALL.iter().zip(times) {
            if let (Some(ns), Some(task)) = (ns, fields.threads.get(stage)) {
                stages.set(*stage, ns, task);
            }
        }
        stages
    }
}

/// How a cycle ended.
#[apply(word!)]
pub enum Outcome {
    /// Every stage that was needed was observed, and the region had changed.
    Remapped,
    /// The same, and the region had not changed.
    Unchanged,
    /// The wait ended, or the region was signalled again, and no ack had come.
    Unacked,
    /// Cut off: the device, the IRQ or the eventfd was closed, or the state change failed.
    Aborted,
    /// A stage was not observed: the trace ended, records were lost, or the user left it out.
    Incomplete,
}

/// Why a cycle is neither `Remapped` nor `Unchanged`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// Records were lost while it was open.
    RecordsLost,
    /// The stages in [`Cycle::missing`] were not observed.
    StagesMissing,
    /// The region was not described before the trigger.
    NotDescribedBefore,
    /// The trace ended; the stages in [`Cycle::missing`] were not observed.
    TraceEnded,
    /// The state change that waited for it failed.
    ChangeFailed {
        /// With what.
        errno: Errno,
    },
    /// The device was closed.
    DeviceClosed,
    /// The process that used the device ended.
    ProcessEnded,
    /// The IRQ was disabled.
    IrqDisabled,
    /// The IRQ was enabled anew.
    IrqEnabledAnew,
    /// The eventfd was closed.
    EventfdClosed,
    /// The region was signalled again and again, and no ack came.
    SignalledAgain,
}

/// The form of an acknowledgement.
#[apply(word!)]
#[derive(Default)]
pub enum AckForm {
    /// A write to the trigger's eventfd.
    Write,
    /// An unmask, by ioctl or by eventfd.
    Unmask,
    /// None was observed.
    #[default]
    None,
}

/// The acknowledgement of a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Ack {
    /// Its form.
    pub form: AckForm,
    /// The value written to an eventfd; `None` for an ioctl, or where it could not be read.
    pub value: Option<u64>,
}

/// From what a release was inferred: the driver's own wake-up is not visible.
#[apply(word!)]
pub enum ReleasedSource {
    /// The return of the state change that the trigger was in and that still ran at the ack.
    StateChange,
    /// The return of the call that carried the ack: no state change waited for it.
    AckReturn,
}

/// What a region's description allowed at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// `VFIO_REGION_INFO_FLAG_*`.
    pub flags: u32,
    /// What may be mapped.
    pub areas: Areas,
}

impl View {
    /// The description without what never changes.
    pub fn of(region: &Region) -> Self {
        Self {
            flags: region.flags,
            areas: region.areas.clone(),
        }
    }
}

/// A finished cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cycle {
    /// Name of the device.
    pub device: String,
    /// IRQ index of the remap IRQ; `None` where it is inferred that there is one.
    pub irq_index: Option<u32>,
    /// The event from which it is inferred, if no call was seen to enable the IRQ.
    pub inferred: Option<Origin>,
    /// How the IRQ names regions; `None` where it is inferred that there is one.
    pub encoding: Option<Encoding>,
    /// Region index.
    pub region: u32,
    /// Number of the signal within the trace, from 1; shared by the cycles of one bitmap.
    pub trigger_id: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The stages that were needed and were not observed, in order.
    pub missing: Vec<Stage>,
    /// Why it is not `Remapped` or `Unchanged`.
    #[serde(rename = "why")]
    pub reason: Option<Reason>,
    /// When, and in which thread.
    #[serde(flatten)]
    pub stages: Stages,
    /// From what the release was inferred, where there is one.
    pub released_source: Option<ReleasedSource>,
    /// The acknowledgement.
    pub ack: Ack,
    /// When the call that carried the ack returned (CLOCK_MONOTONIC ns).
    pub ack_return_ns: Option<u64>,
    /// The region as it was last described before the trigger.
    pub before: Option<View>,
    /// The region as the requery described it.
    pub after: Option<View>,
    /// The state change that the trigger was signalled in.
    pub transition: Option<TransitionRef>,
}

impl Cycle {
    /// The process that answered: the thread that woke.
    pub fn owner(&self) -> Option<&Task> {
        self.stages.get(Stage::Wake).map(|stamp| &stamp.task)
    }

    /// Whether every stage that was needed was observed.
    pub fn complete(&self) -> bool {
        matches!(self.outcome, Outcome::Remapped | Outcome::Unchanged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(stamps: &[(Stage, u64)]) -> Stages {
        let task = Task {
            pid: 1,
            tid: 1,
            comm: "user".into(),
        };
        let mut stages = Stages::default();
        for (stage, ns) in stamps {
            stages.set(*stage, *ns, &task);
        }
        stages
    }

    #[test]
    fn a_duration_passes_over_unmap_and_map_only() {
        let stages = stages(&[
            (Stage::Trigger, 10),
            (Stage::Requery, 30),
            (Stage::Ack, 70),
            (Stage::Released, 75),
        ]);
        assert_eq!(stages.duration(Stage::Requery), None);
        assert_eq!(stages.duration(Stage::Ack), Some(40));
        assert_eq!(stages.total(), Some(65));
        assert_eq!(stages.slowest(), Some((Stage::Ack, 40)));
    }

    #[test]
    fn a_stage_out_of_order_has_no_duration() {
        let stages = stages(&[(Stage::Trigger, 10), (Stage::Wake, 9)]);
        assert_eq!(stages.duration(Stage::Wake), None);
    }
}
