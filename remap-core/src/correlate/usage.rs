//! Who uses a device: opens, closes, mappings, and what is only inferred.

use crate::event::{DeviceState, DmaKind, Errno, Node, Origin, Task};

/// A device's file was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Name of the device.
    pub device: String,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// Through which node.
    pub node: Node,
    /// The fd in that process, where the kernel hands it out there.
    pub fd: Option<i32>,
    /// The thread.
    pub task: Task,
}

/// A device's last file was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Name of the device.
    pub device: String,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// Whether the closing process was about to end; `None` if that is not known.
    pub dying: Option<bool>,
    /// The migration state that it was in, as far as it was known.
    pub state: Option<DeviceState>,
    /// One sentence: in what it was closed.
    pub text: String,
    /// The thread.
    pub task: Task,
}

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

/// An eventfd is inferred to be a device's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// Name of the device.
    pub device: String,
    /// When (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// From what.
    pub origin: Origin,
    /// One sentence: why.
    pub text: String,
    /// The thread.
    pub task: Task,
}
