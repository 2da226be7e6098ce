//! The ioctls of a VFIO device, and what they hand back.

use remap_common::uapi::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;

use super::DeviceState;
use crate::parse::{irq::IrqInfo, region::Region};

/// The `ACTION` of a `VFIO_DEVICE_SET_IRQS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqAction {
    /// `VFIO_IRQ_SET_ACTION_MASK`.
    Mask,
    /// `VFIO_IRQ_SET_ACTION_UNMASK`.
    Unmask,
    /// `VFIO_IRQ_SET_ACTION_TRIGGER`.
    Trigger,
    /// Flags that name no single action.
    Unknown(u32),
}

/// The `DATA` of a `VFIO_DEVICE_SET_IRQS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IrqData {
    /// `VFIO_IRQ_SET_DATA_NONE`.
    None,
    /// `VFIO_IRQ_SET_DATA_BOOL`: one byte for each sub-index, as far as it was captured.
    Bool(Vec<bool>),
    /// `VFIO_IRQ_SET_DATA_EVENTFD`: one fd for each sub-index (-1: none), as far as captured.
    Eventfd(Vec<i32>),
    /// Flags that name no single kind of data.
    Unknown(u32),
}

/// The operation of a `VFIO_DEVICE_FEATURE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureOp {
    /// `VFIO_DEVICE_FEATURE_GET`.
    pub get: bool,
    /// `VFIO_DEVICE_FEATURE_SET`.
    pub set: bool,
    /// `VFIO_DEVICE_FEATURE_PROBE`.
    pub probe: bool,
}

/// What a `VFIO_DEVICE_FEATURE` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureData {
    /// Nothing: a PROBE, a GET, a feature without data, or one that is not known here.
    None,
    /// SET of `MIG_DEVICE_STATE`.
    State(DeviceState),
    /// `LOW_POWER_ENTRY_WITH_WAKEUP`: the eventfd that wakes.
    Wakeup {
        /// `wakeup_eventfd`.
        fd: i32,
    },
    /// `DMA_LOGGING_START`.
    LoggingStart {
        /// `page_size`, bytes.
        page_size: u64,
        /// `num_ranges`.
        ranges: u32,
    },
    /// `DMA_LOGGING_REPORT`.
    LoggingReport {
        /// First address of the range.
        iova: u64,
        /// Its length, bytes.
        length: u64,
        /// `page_size`, bytes.
        page_size: u64,
    },
    /// `BUS_MASTER`: the operation, `VFIO_DEVICE_FEATURE_CLEAR_MASTER` (0) or `_SET_MASTER` (1).
    BusMaster {
        /// `op`.
        op: u32,
    },
}

impl FeatureData {
    /// The state that a SET of `MIG_DEVICE_STATE` asks for.
    pub fn state(self) -> Option<DeviceState> {
        match self {
            Self::State(state) => Some(state),
            _ => None,
        }
    }
}

/// The arguments of an ioctl on a VFIO device, read once at its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `VFIO_DEVICE_SET_IRQS`.
    SetIrqs {
        /// IRQ index.
        index: u32,
        /// First sub-index.
        start: u32,
        /// Number of sub-indexes; 0 with `IrqData::None` and `Trigger` disables the index.
        count: u32,
        /// What is done.
        action: IrqAction,
        /// With what; may hold fewer than `count` values.
        data: IrqData,
    },
    /// `VFIO_DEVICE_GET_IRQ_INFO`.
    GetIrqInfo {
        /// IRQ index.
        index: u32,
    },
    /// `VFIO_DEVICE_GET_REGION_INFO`.
    GetRegionInfo {
        /// Region index.
        index: u32,
    },
    /// `VFIO_DEVICE_FEATURE`.
    Feature {
        /// The feature number (`VFIO_DEVICE_FEATURE_MASK`).
        feature: u32,
        /// The operation.
        op: FeatureOp,
        /// What is asked for, as far as it is known for this feature.
        data: FeatureData,
    },
    /// `VFIO_DEVICE_RESET`.
    Reset,
    /// `VFIO_DEVICE_PCI_HOT_RESET`.
    HotReset,
    /// `VFIO_DEVICE_BIND_IOMMUFD`.
    BindIommufd {
        /// The iommufd.
        iommufd: i32,
    },
    /// `VFIO_DEVICE_ATTACH_IOMMUFD_PT`.
    AttachPt {
        /// The IOAS or page table asked for.
        pt: u32,
    },
    /// `VFIO_DEVICE_DETACH_IOMMUFD_PT`.
    DetachPt,
    /// Any other request.
    Other {
        /// The ioctl number.
        request: u32,
    },
    /// The arguments could not be read from user memory.
    Unreadable {
        /// The ioctl number.
        request: u32,
    },
}

/// What an ioctl handed back, read once at its return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing to read, or the call failed.
    None,
    /// The answer of `GET_REGION_INFO`.
    Region(Region),
    /// The answer of `GET_IRQ_INFO`.
    Irq(IrqInfo),
    /// A migration state (`MIG_DEVICE_STATE`, GET or SET) and, where one was made, the data fd.
    State {
        /// The state that the kernel reports; for SET, the state asked for.
        state: DeviceState,
        /// The data fd of the new state; `None` if there is none.
        data_fd: Option<i32>,
    },
    /// The answer of `MIGRATION`: `VFIO_MIGRATION_STOP_COPY`, `_P2P`, `_PRE_COPY`.
    MigrationFlags(u64),
    /// The answer of `MIG_DATA_SIZE`: `stop_copy_length`, bytes.
    DataSize(u64),
    /// The answer is there but it cannot be understood: the reason.
    Malformed(String),
    /// The memory that holds the answer could not be read.
    Unreadable,
}

/// The name of a feature of `VFIO_DEVICE_FEATURE` in the uAPI, without its prefix; `None` for one
/// that is not known here.
pub fn feature_name(feature: u32) -> Option<&'static str> {
    const NAMES: [&str; 13] = [
        "PCI_VF_TOKEN",
        "MIGRATION",
        "MIG_DEVICE_STATE",
        "LOW_POWER_ENTRY",
        "LOW_POWER_ENTRY_WITH_WAKEUP",
        "LOW_POWER_EXIT",
        "DMA_LOGGING_START",
        "DMA_LOGGING_STOP",
        "DMA_LOGGING_REPORT",
        "MIG_DATA_SIZE",
        "BUS_MASTER",
        "DMA_BUF",
        "MIG_PRECOPY_INFOv2",
    ];
    NAMES.get(feature as usize).copied()
}

impl Call {
    /// Whether it changes the migration state.
    pub fn changes_state(&self) -> bool {
        matches!(self, Self::Feature { feature: VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, op, .. } if op.set && !op.probe)
    }
}
