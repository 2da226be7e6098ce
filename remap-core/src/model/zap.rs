//! Mappings that lost their pages, and the faults that brought them back.

use std::collections::BTreeMap;

use super::TransitionRef;
use crate::event::{Task, feature_name};

/// Why the pages were taken out of the mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Config space: memory decode was turned off.
    MemoryOff,
    /// Config space: the device was put into D3.
    D3,
    /// Config space: the function was reset (FLR).
    FunctionReset,
    /// Config space: D3 or a function reset; the value says neither.
    ConfigWrite {
        /// Offset, bytes.
        offset: u64,
    },
    /// `VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY`.
    LowPowerEntry,
    /// `VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP`.
    LowPowerEntryWithWakeup,
    /// `VFIO_DEVICE_RESET`.
    Reset,
    /// `VFIO_DEVICE_PCI_HOT_RESET`.
    HotReset,
    /// A change of the migration state.
    StateChange,
    /// Another feature of `VFIO_DEVICE_FEATURE`.
    Feature(u32),
    /// Another ioctl.
    Ioctl {
        /// Its request.
        request: u32,
    },
    /// None that is traced: the driver's own accord, sysfs, runtime power management, error
    /// recovery.
    Unknown,
}

impl Cause {
    /// The cause's word in JSON, and the key of statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryOff => "memory_off",
            Self::D3 => "d3",
            Self::FunctionReset => "function_reset",
            Self::ConfigWrite { .. } => "config_write",
            Self::LowPowerEntry => "low_power_entry",
            Self::LowPowerEntryWithWakeup => "low_power_entry_with_wakeup",
            Self::Reset => "reset",
            Self::HotReset => "hot_reset",
            Self::StateChange => "state_change",
            Self::Feature(_) => "feature",
            Self::Ioctl { .. } => "ioctl",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the function, and with it its migration state, is reset.
    pub fn resets(self) -> bool {
        matches!(self, Self::FunctionReset | Self::Reset | Self::HotReset)
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MemoryOff => f.write_str("memory decode off"),
            Self::D3 => f.write_str("D3"),
            Self::FunctionReset => f.write_str("function reset through config space"),
            Self::ConfigWrite { offset } => {
                write!(f, "D3 or function reset (config space {offset:#x})")
            }
            Self::LowPowerEntry => f.write_str("LOW_POWER_ENTRY"),
            Self::LowPowerEntryWithWakeup => f.write_str("LOW_POWER_ENTRY_WITH_WAKEUP"),
            Self::Reset => f.write_str("RESET"),
            Self::HotReset => f.write_str("HOT_RESET"),
            Self::StateChange => f.write_str("state change"),
            Self::Feature(feature) => match feature_name(*feature) {
                Some(name) => f.write_str(name),
                None => write!(f, "feature {feature}"),
            },
            Self::Ioctl { request } => write!(f, "ioctl {request:#x}"),
            Self::Unknown => f.write_str("unknown cause"),
        }
    }
}

/// Why nothing more is said of a zap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZapEnd {
    /// All that was known to be mapped is populated again.
    Complete,
    /// Nothing was populated any more for [`Options::stuck_ns`](crate::correlate::Options::stuck_ns).
    Quiet,
    /// The pages were taken out once more.
    NextZap,
    /// The device was closed.
    Closed,
    /// Records were lost: there may have been more.
    Lost,
    /// The trace ended.
    TraceEnd,
}

impl ZapEnd {
    /// The end's word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "whole",
            Self::Quiet => "quiet",
            Self::NextZap => "next_zap",
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::TraceEnd => "trace_end",
        }
    }
}

/// A region that lost its pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZappedRegion {
    /// Region index.
    pub region: u32,
    /// How much of it was known to be mapped, all mappings together, bytes.
    pub mapped_bytes: u64,
    /// How much of it was mapped for DMA, bytes: a zap leaves the IOMMU alone. `None` where what was
    /// mapped before the trace, or while records were lost, may come to it.
    pub dma_bytes: Option<u64>,
    /// Faults that populated, by how much each did, bytes.
    pub pages: BTreeMap<u64, u64>,
    /// Faults that populated, and nobody knows how much.
    pub unsized_faults: u64,
    /// Faults that were refused.
    pub refused: u64,
}

impl ZappedRegion {
    /// Faults that populated.
    pub fn populated(&self) -> u64 {
        self.pages.values().sum::<u64>() + self.unsized_faults
    }

    /// What they populated, bytes; `None` where one did not tell.
    pub fn bytes(&self) -> Option<u64> {
        let sized = self.pages.iter();
        (self.unsized_faults == 0).then(|| {
            sized.fold(0, |sum: u64, (bytes, count)| {
                sum.saturating_add(bytes.saturating_mul(*count))
            })
        })
    }
}

/// One call that took the pages of a device's regions out of every mapping, and what followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zap {
    /// Number within the trace, from 1.
    pub id: u64,
    /// Name of the device.
    pub device: String,
    /// Why.
    pub cause: Cause,
    /// When it began (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// How many steps it took: some kernels take the pages out for each mapping.
    pub steps: u64,
    /// The thread.
    pub task: Task,
    /// The regions that are concerned and were known to be mapped, or were touched afterwards, by
    /// index.
    pub regions: Vec<ZappedRegion>,
    /// The state change that it happened in.
    pub transition: Option<TransitionRef>,
    /// When a fault first populated (CLOCK_MONOTONIC ns).
    pub first_ns: Option<u64>,
    /// When a fault last populated (CLOCK_MONOTONIC ns).
    pub last_ns: Option<u64>,
    /// Time in which at least one thread was in a fault, ns.
    pub fault_ns: u64,
    /// When a fault was first refused (CLOCK_MONOTONIC ns).
    pub refused_ns: Option<u64>,
    /// When the wakeup eventfd of a `LOW_POWER_ENTRY_WITH_WAKEUP` was signalled (CLOCK_MONOTONIC
    /// ns).
    pub wakeup_ns: Option<u64>,
    /// When it was over (CLOCK_MONOTONIC ns).
    pub end_ns: u64,
    /// Why it was over.
    pub end: ZapEnd,
}

impl Zap {
    /// From the zap to the last fault that populated, ns; `None` if there was none.
    pub fn duration(&self) -> Option<u64> {
        self.last_ns?.checked_sub(self.time_ns)
    }

    /// Faults that populated.
    pub fn populated(&self) -> u64 {
        self.regions.iter().map(ZappedRegion::populated).sum()
    }

    /// What they populated, bytes; `None` where one did not tell.
    pub fn bytes(&self) -> Option<u64> {
        let mut regions = self.regions.iter();
        regions.try_fold(0_u64, |sum, region| {
            Some(sum.saturating_add(region.bytes()?))
        })
    }

    /// Faults that were refused.
    pub fn refused(&self) -> u64 {
        self.regions.iter().map(|region| region.refused).sum()
    }
}
