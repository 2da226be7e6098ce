//! Mappings, faults, zaps, and mappings for DMA.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeviceKey, DmaKind, Errno, NodeKey, Origin, ResultName, Returned, feature_name};
use crate::json;
use crate::parse::region::Area;

/// What came of a fault on a mapped region (`vm_fault_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultOutcome {
    /// Pages were put in place.
    Populated,
    /// `VM_FAULT_SIGBUS`: the process is killed, or its access fails.
    Refused,
    /// `VM_FAULT_SIGBUS` to the kernel itself, which wants the page in order to map it for DMA:
    /// that call fails, no process is killed. QEMU asks so for a BAR before memory decode is on.
    RefusedForDma,
    /// `VM_FAULT_FALLBACK`: not at this order; the kernel asks again for a smaller one.
    Fallback,
    /// `VM_FAULT_RETRY`, `VM_FAULT_OOM` or another code.
    Other,
}

json::object! {
    /// The feature of an ioctl that may be another than `VFIO_DEVICE_FEATURE`.
    MaybeFeature: Option<u32> {
        /// The feature.
        feature: Option<u32>,
        /// Its name in the uAPI, without its prefix.
        feature_name: Option<String>,
    } |feature| Self {
        feature: *feature,
        feature_name: feature.and_then(feature_name).map(str::to_owned),
    }, |line| line.feature
}

/// In which call a zap happened, on the same thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum ZapCause {
    /// An ioctl: its request, and for `VFIO_DEVICE_FEATURE` the feature number.
    Ioctl {
        /// The ioctl number.
        request: u32,
        /// The feature.
        #[serde(flatten, with = "MaybeFeature")]
        feature: Option<u32>,
    },
    /// A write to config space (memory decode, power state).
    ConfigWrite {
        /// Offset in config space, bytes.
        offset: u64,
        /// The value, if it could be read.
        value: Option<u32>,
    },
    /// A write to the legacy migration region's word.
    StateWrite,
    /// None that is traced: the driver's own accord, sysfs, runtime power management, error
    /// recovery.
    Unknown,
}

/// A part of a region was mapped (return of the device's mmap).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Map {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// What was mapped, and where.
    #[serde(flatten)]
    pub place: Place,
    /// Success, or the errno.
    #[serde(with = "ResultName")]
    pub result: Result<(), Errno>,
    /// How it came to be known.
    pub origin: Origin,
}

/// A mapping of a region (or a part of one) was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unmap {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// What was mapped, and where.
    #[serde(flatten)]
    pub place: Place,
}

/// A touch of a mapped region without a page behind it (return of the fault handler).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// Region index.
    pub region: u32,
    /// Offset within the region, bytes.
    pub offset: u64,
    /// The address in the process.
    pub address: u64,
    /// When it began.
    pub begin_ns: u64,
    /// What came of it.
    pub outcome: FaultOutcome,
    /// How much was populated, bytes: 4096 << order where the handler has an order, the whole
    /// mapping where it fills that; `None` where the handler is the vendor's own and does not
    /// report it, and of any other outcome.
    pub bytes: Option<u64>,
    /// The code of the outcome `Other`.
    pub code: Option<u32>,
}

json::object! {
    /// A range of regions.
    Regions: (u32, u32) {
        /// The first.
        first_region: u32,
        /// The last; null: all behind the first.
        last_region: Option<u32>,
    } |(first, last)| Self {
        first_region: *first,
        last_region: (*last != u32::MAX).then_some(*last),
    }, |line| (line.first_region, line.last_region.unwrap_or(u32::MAX))
}

/// A zap: the kernel removes the page table entries of a region, or a part of it, from all mappings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ZapStep {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// First and last region index that it concerns.
    #[serde(flatten, with = "Regions")]
    pub regions: (u32, u32),
    /// Offset within the first region, bytes.
    pub offset: u64,
    /// Length, bytes; reaches over several regions where `regions` says so.
    pub size: u64,
    /// In which call.
    pub cause: ZapCause,
}

/// A mapping for the device's DMA was made or ended (return of the ioctl on the container or
/// the iommufd).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DmaCall {
    /// The container or iommufd.
    pub node: NodeKey,
    /// What was done.
    #[serde(rename = "what")]
    pub kind: DmaKind,
    /// First address on the device's side.
    pub iova: u64,
    /// Length, bytes; for an unmap what the kernel says it has unmapped.
    pub size: u64,
    /// Address in the process, for a map.
    pub vaddr: Option<u64>,
    /// When it began.
    pub begin_ns: u64,
    /// Success, or the errno.
    #[serde(flatten, with = "Returned")]
    pub result: Result<i64, Errno>,
}

/// A part of a region, and where it is in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Region index.
    pub region: u32,
    /// The part.
    #[serde(flatten)]
    pub area: Area,
    /// Start address in the process.
    pub address: u64,
}
