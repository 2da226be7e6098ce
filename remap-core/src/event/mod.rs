//! What happened, decoded: the vocabulary between the probes and the correlation.
//!
//! An [`Event`] is one record of the kernel side after decoding. Nothing here depends on a clock or a
//! file; whatever could not be read is `None` or an `Unknown` variant. `decode` converts the records;
//! a body that takes a record's fields as they are stands with its conversion.

/// Declares how records are converted to bodies: a `?` on what is not known ends in `None`.
macro_rules! bodies {
    ($($record:ident($raw:pat $(, $trail:pat)?) => $body:expr,)*) => {
        $(
            impl remap_common::record::FromRecord<remap_common::record::$record> for $crate::event::Body {
                fn from_record(
                    $raw: &remap_common::record::$record,
                    bodies!(@ $($trail)?): &<remap_common::record::$record as remap_common::record::Record>::Trail,
                ) -> Option<Self> {
                    Some($body)
                }
            }
        )*
    };
    (@) => { () };
    (@ $trail:pat) => { $trail };
}
pub(crate) use bodies;

mod body;
mod call;
mod eventfd;
mod in_flight;
mod lost;
mod memory;
mod migration;
mod node;
mod returned;
mod state;
mod write;

pub use crate::errno::Errno;
pub use body::{Address, Body};
pub use call::{
    Answer, Call, Exit, FeatureData, FeatureOp, IrqAction, IrqData, RequestName, feature_name,
};
pub use eventfd::{Consumed, Context, Read, Signal, Write};
pub use in_flight::{DeviceCall, InFlight};
pub use lost::Lost;
pub use memory::{DmaCall, Fault, FaultOutcome, Map, Place, Unmap, ZapCause, ZapStep};
pub use migration::{MigrationData, PrecopyInfo};
pub use node::{DeviceFile, DeviceSeen, Node, NodeKey};
pub use remap_common::record::{DmaKind, LostKind, Origin, Role, UNKNOWN_INDEX};
pub(crate) use returned::{MaybeResultName, ResultName, Returned};
pub use state::DeviceState;
pub use write::{ConfigWrite, StateWriteEnter, StateWriteExit};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A device: the address of its kernel object. Names a device within one trace; never printed
/// unless addresses were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey(pub u64);

/// An eventfd context: the address of its kernel object (`struct eventfd_ctx`).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct ContextKey(pub u64);

/// The task that an event happened in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Process id (the kernel's tgid), in the initial PID namespace.
    pub pid: u32,
    /// Thread id (the kernel's pid).
    pub tid: u32,
    /// Command name of the thread, at most 15 bytes.
    pub comm: String,
}

/// What an eventfd context stands for on a device.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(into = "TargetFields", from = "TargetFields")]
pub struct Target {
    /// The device.
    pub device: DeviceKey,
    /// IRQ index.
    pub index: u32,
    /// Sub-index within the IRQ index.
    pub sub: u32,
    /// Whether the kernel signals it or listens to it.
    pub role: Role,
}

/// A target as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
struct TargetFields {
    /// IRQ index; null where it is inferred that the eventfd is the device's, and where it is no
    /// interrupt.
    irq_index: Option<u32>,
    /// Sub-index within the IRQ index.
    sub_index: Option<u32>,
    /// What the eventfd was given to the device for.
    role: Role,
}

impl From<Target> for TargetFields {
    fn from(target: Target) -> Self {
        let known = target.index != UNKNOWN_INDEX;
        Self {
            irq_index: known.then_some(target.index),
            sub_index: known.then_some(target.sub),
            role: target.role,
        }
    }
}

impl From<TargetFields> for Target {
    fn from(fields: TargetFields) -> Self {
        Self {
            device: DeviceKey::default(),
            index: fields.irq_index.unwrap_or(UNKNOWN_INDEX),
            sub: fields.sub_index.unwrap_or(0),
            role: fields.role,
        }
    }
}

/// One thing that happened, with its time and task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// CLOCK_MONOTONIC, ns.
    pub time_ns: u64,
    /// The CPU that it was recorded on.
    pub cpu: u32,
    /// The task that it happened in.
    #[serde(flatten)]
    pub task: Task,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

impl Event {
    /// The device that it is about; `None` for what is about the trace itself.
    pub fn device(&self) -> Option<DeviceKey> {
        self.body.device()
    }
}
