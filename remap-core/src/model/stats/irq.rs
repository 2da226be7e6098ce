//! What a device's interrupts add up to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::times::{Quantiles, Times};
use crate::json;
use crate::model::{IrqName, IrqVerb};

/// One sub-index of an IRQ index.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct VectorStats {
    /// Signals of its eventfd.
    pub signals: u64,
    /// Of these, those that user space asked for (`SET_IRQS` with `ACTION_TRIGGER`).
    pub software: u64,
    /// Reads by user space that got something.
    pub reads: u64,
    /// Times that the kernel itself took the counter (KVM's irqfd, a virqfd).
    pub consumed: u64,
    /// Signals that a read or a consumer got together with an earlier one.
    pub coalesced: u64,
    /// Signals that were not read before the eventfd was removed, or before the trace ended.
    pub unread: u64,
    /// Signals without a record, by the eventfd's own count; not among `signals`.
    pub missed: u64,
    /// Records of signals or reads were lost, and no count shows how many: each figure is a lower
    /// bound.
    pub incomplete: bool,
    pub(crate) latency: Times,
}

impl VectorStats {
    /// From the first signal since the last read to the read; `None` if that was never observed.
    pub fn latency(&self) -> Option<Quantiles> {
        self.latency.quantiles()
    }
}

json::list! {
    BySubIndex of VectorEntry {
        sub_index: u32,
        #[serde(flatten)]
        vector: VectorStats,
    }
}

/// One IRQ index.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct IrqStats {
    /// What it is.
    pub name: IrqName,
    /// Calls that succeeded, by what they did.
    pub calls: BTreeMap<IrqVerb, u64>,
    /// Calls that failed, by what they were to do.
    pub failed: BTreeMap<IrqVerb, u64>,
    /// By sub-index.
    #[serde(with = "BySubIndex")]
    pub vectors: BTreeMap<u32, VectorStats>,
    pub(crate) latency: Times,
}

impl IrqStats {
    pub(crate) fn new(name: IrqName) -> Self {
        Self {
            name,
            calls: BTreeMap::new(),
            failed: BTreeMap::new(),
            vectors: BTreeMap::new(),
            latency: Times::default(),
        }
    }

    /// The sum of `of` over its vectors.
    pub fn sum(&self, of: impl Fn(&VectorStats) -> u64) -> u64 {
        self.vectors.values().map(of).fold(0, u64::saturating_add)
    }

    /// Signals of all its eventfds.
    pub fn signals(&self) -> u64 {
        self.sum(|vector| vector.signals)
    }
}
