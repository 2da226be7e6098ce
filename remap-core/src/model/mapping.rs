//! Mappings of regions that are made or ended.

use crate::event::{DmaKind, Errno, Origin, Task};

/// What was done to a region's mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MappedHow {
    /// mmap.
    Map,
    /// munmap, or the end of the address space.
    Unmap,
    /// For the device's DMA, or another device's.
    Dma(DmaKind),
}

impl MappedHow {
    /// The word in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Dma(DmaKind::Map) => "dma_map",
            Self::Dma(DmaKind::Unmap | DmaKind::UnmapAll) => "dma_unmap",
        }
    }
}

/// A part of a region was mapped or unmapped.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub result: Result<(), Errno>,
    /// How it came to be known.
    pub origin: Origin,
    /// The thread.
    pub task: Task,
}
