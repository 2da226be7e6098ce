//! Mappings of regions that are made or ended.

use macro_rules_attribute::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{DmaKind, Errno, Origin, ResultName, Task};
use crate::word::word;

/// What was done to a region's mapping.
#[apply(word!)]
pub enum MappedHow {
    /// mmap.
    Map,
    /// munmap, or the end of the address space.
    Unmap,
    /// For the device's DMA, or another device's.
    DmaMap,
    /// No more for DMA.
    DmaUnmap,
}

impl From<DmaKind> for MappedHow {
    fn from(kind: DmaKind) -> Self {
        match kind {
            DmaKind::Map => Self::DmaMap,
            DmaKind::Unmap | DmaKind::UnmapAll => Self::DmaUnmap,
        }
    }
}

/// A part of a region was mapped or unmapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mapped {
    /// Name of the device.
    pub device: String,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// What was done.
    pub how: MappedHow,
    /// Region index.
    pub region: u32,
    /// Offset within the region, bytes.
    pub offset: u64,
    /// Length, bytes.
    pub size: u64,
    /// Success, or the errno.
    #[serde(with = "ResultName")]
    pub result: Result<(), Errno>,
    /// How it came to be known.
    pub origin: Origin,
    /// The thread.
    #[serde(flatten)]
    pub task: Task,
}
