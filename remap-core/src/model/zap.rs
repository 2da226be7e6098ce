//! Mappings that lost their pages, and the faults that brought them back.

use std::collections::BTreeMap;

use macro_rules_attribute::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Pages, TransitionRef};
use crate::event::{RequestName, Task, feature_name};
use crate::word::word;

/// What the call was for that took the pages out of the mappings.
#[apply(word!)]
pub enum CauseKind {
    /// Config space: memory decode was turned off.
    MemoryOff,
    /// Config space: the device was put into D3.
    D3,
    /// Config space: the function was reset (FLR).
    FunctionReset,
    /// Config space: D3 or a function reset; the value says neither.
    ConfigWrite,
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
    Feature,
    /// Another ioctl.
    Ioctl,
    /// None that is traced: the driver's own accord, sysfs, runtime power management, error
    /// recovery.
    Unknown,
}

impl CauseKind {
    /// Whether the function, and with it its migration state, is reset.
    pub fn resets(self) -> bool {
        matches!(self, Self::FunctionReset | Self::Reset | Self::HotReset)
    }
}

/// Why the pages were taken out of the mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// What the call was for.
    #[serde(rename = "cause")]
    pub kind: CauseKind,
    /// The offset in config space of a `ConfigWrite`, bytes.
    pub config_offset: Option<u64>,
    /// The number of a `Feature`.
    pub feature: Option<u32>,
    /// The request of an `Ioctl`.
    pub request: Option<u32>,
}

impl From<CauseKind> for Cause {
    fn from(kind: CauseKind) -> Self {
        Self {
            kind,
            config_offset: None,
            feature: None,
            request: None,
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.kind {
            CauseKind::MemoryOff => "memory decode off",
            CauseKind::D3 => "D3",
            CauseKind::FunctionReset => "function reset through config space",
            CauseKind::ConfigWrite => "D3 or function reset",
            CauseKind::LowPowerEntry => "LOW_POWER_ENTRY",
            CauseKind::LowPowerEntryWithWakeup => "LOW_POWER_ENTRY_WITH_WAKEUP",
            CauseKind::Reset => "RESET",
            CauseKind::HotReset => "HOT_RESET",
            CauseKind::StateChange => "state change",
            CauseKind::Feature => match self.feature.and_then(feature_name) {
                Some(name) => return f.write_str(name),
                None => "feature",
            },
            CauseKind::Ioctl => match self.request {
                Some(request) => return RequestName(request).fmt(f),
                None => "ioctl",
            },
            CauseKind::Unknown => "unknown cause",
        };
        f.write_str(name)?;
        match (self.config_offset, self.feature) {
            (Some(offset), _) => write!(f, " (config space {offset:#x})"),
            (_, Some(feature)) => write!(f, " {feature}"),
            _ => Ok(()),
        }
    }
}

/// Why the record of a zap ended.
#[apply(word!)]
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

/// A region that lost its pages, as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
struct ZappedRegionFields {
    /// Region index.
    region: u32,
    /// How much of it was known to be mapped, all mappings together, bytes.
    mapped_bytes: u64,
    /// How much of it was mapped for DMA, bytes; null where that is not known.
    dma_bytes: Option<u64>,
    /// Faults that populated, by how much each did.
    #[serde(with = "Pages")]
    pages: BTreeMap<u64, u64>,
    /// Faults that populated an unknown number of bytes.
    unsized_faults: u64,
    /// What the faults populated, bytes; null where it is not known of one of them.
    populated_bytes: Option<u64>,
    /// Faults that were refused.
    refused: u64,
}

impl From<ZappedRegion> for ZappedRegionFields {
    fn from(region: ZappedRegion) -> Self {
        Self {
            populated_bytes: region.bytes(),
            region: region.region,
            mapped_bytes: region.mapped_bytes,
            dma_bytes: region.dma_bytes,
            pages: region.pages,
            unsized_faults: region.unsized_faults,
            refused: region.refused,
        }
    }
}

impl From<ZappedRegionFields> for ZappedRegion {
    fn from(fields: ZappedRegionFields) -> Self {
        Self {
            region: fields.region,
            mapped_bytes: fields.mapped_bytes,
            dma_bytes: fields.dma_bytes,
            pages: fields.pages,
            unsized_faults: fields.unsized_faults,
            refused: fields.refused,
        }
    }
}

/// A region that lost its pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "ZappedRegionFields", from = "ZappedRegionFields")]
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
    /// Faults that populated an unknown number of bytes.
    pub unsized_faults: u64,
    /// Faults that were refused.
    pub refused: u64,
}

impl ZappedRegion {
    /// Faults that populated.
    pub fn populated(&self) -> u64 {
        self.pages.values().sum::<u64>() + self.unsized_faults
    }

    /// Bytes that they populated; `None` if the size of one is unknown.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Zap {
    /// Number within the trace, from 1.
    pub id: u64,
    /// Name of the device.
    pub device: String,
    /// Why.
    #[serde(flatten)]
    pub cause: Cause,
    /// When it began (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// How many steps it took: some kernels take the pages out for each mapping.
    pub steps: u64,
    /// The thread.
    #[serde(flatten)]
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

    /// Bytes that they populated; `None` if the size of one is unknown.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_named_with_its_number() {
        let of = |kind: CauseKind| Cause::from(kind);
        let write = Cause {
            config_offset: Some(4),
            ..of(CauseKind::ConfigWrite)
        };
        let unnamed = Cause {
            feature: Some(99),
            ..of(CauseKind::Feature)
        };
        let ioctl = Cause {
            request: Some(0xabcd),
            ..of(CauseKind::Ioctl)
        };
        let words = [write, unnamed, ioctl, of(CauseKind::D3)].map(|cause| cause.to_string());
        assert_eq!(
            words,
            [
                "D3 or function reset (config space 0x4)",
                "feature 99",
                "ioctl 0xabcd",
                "D3"
            ]
        );
    }

    #[test]
    fn an_ioctl_has_its_name() {
        use remap_common::uapi::VFIO_DEVICE_SET_IRQS;

        let cause = |request| Cause {
            request: Some(request),
            ..Cause::from(CauseKind::Ioctl)
        };
        assert_eq!(cause(VFIO_DEVICE_SET_IRQS).to_string(), "SET_IRQS");
    }
}
