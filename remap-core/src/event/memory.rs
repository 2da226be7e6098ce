//! Faults and zaps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json;

/// What came of a fault on a mapped region (`vm_fault_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum FaultOutcome {
    /// Pages were put in place.
    Populated {
        /// How much, bytes: 4096 << order where the handler has an order, the whole mapping where
        /// it fills that; `None` where the handler is the vendor's own and does not report it.
        bytes: Option<u64>,
    },
    /// `VM_FAULT_SIGBUS`: the process is killed, or its access fails.
    Refused,
    /// `VM_FAULT_SIGBUS` to the kernel itself, which wants the page in order to map it for DMA:
    /// that call fails, no process is killed. QEMU asks so for a BAR before memory decode is on.
    RefusedForDma,
    /// `VM_FAULT_FALLBACK`: not at this order; the kernel asks again for a smaller one.
    Fallback,
    /// `VM_FAULT_RETRY`, `VM_FAULT_OOM` or another code.
    Other(#[serde(with = "json::Code")] u32),
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
        #[serde(flatten, with = "json::MaybeFeature")]
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
