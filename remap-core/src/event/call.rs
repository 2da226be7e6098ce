//! The ioctls of a VFIO device, and what they hand back.

use std::fmt;

use remap_common::uapi::{self, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeviceKey, DeviceState, Errno, Returned};
use crate::json;
use crate::parse::{irq::IrqInfo, region::Region};

/// The `ACTION` of a `VFIO_DEVICE_SET_IRQS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IrqAction {
    /// `VFIO_IRQ_SET_ACTION_MASK`.
    Mask,
    /// `VFIO_IRQ_SET_ACTION_UNMASK`.
    Unmask,
    /// `VFIO_IRQ_SET_ACTION_TRIGGER`.
    Trigger,
    /// Flags that name no single action.
    Unknown(#[serde(skip)] u32),
}

/// The `DATA` of a `VFIO_DEVICE_SET_IRQS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Vec<Operation>", from = "Vec<Operation>")]
pub struct FeatureOp {
    /// `VFIO_DEVICE_FEATURE_GET`.
    pub get: bool,
    /// `VFIO_DEVICE_FEATURE_SET`.
    pub set: bool,
    /// `VFIO_DEVICE_FEATURE_PROBE`.
    pub probe: bool,
}

/// An operation as it is written.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Operation {
    /// `VFIO_DEVICE_FEATURE_GET`.
    Get,
    /// `VFIO_DEVICE_FEATURE_SET`.
    Set,
    /// `VFIO_DEVICE_FEATURE_PROBE`.
    Probe,
}

impl From<FeatureOp> for Vec<Operation> {
    fn from(op: FeatureOp) -> Self {
        let all = [
            (op.get, Operation::Get),
            (op.set, Operation::Set),
            (op.probe, Operation::Probe),
        ];
        let asked = all.into_iter().filter(|(is_set, _)| *is_set);
        asked.map(|(_, operation)| operation).collect()
    }
}

impl From<Vec<Operation>> for FeatureOp {
    fn from(operations: Vec<Operation>) -> Self {
        let has = |operation| operations.contains(&operation);
        Self {
            get: has(Operation::Get),
            set: has(Operation::Set),
            probe: has(Operation::Probe),
        }
    }
}

/// What a `VFIO_DEVICE_FEATURE` asks for. Nothing: a PROBE, a GET, a feature without data, or one
/// that is not known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeatureData {
    /// The state of a SET of `MIG_DEVICE_STATE`.
    pub state: Option<DeviceState>,
    /// `wakeup_eventfd` of `LOW_POWER_ENTRY_WITH_WAKEUP`.
    pub wakeup_fd: Option<i32>,
    /// The first address of the range of a `DMA_LOGGING_REPORT`.
    pub iova: Option<u64>,
    /// The length of that range, bytes.
    pub length: Option<u64>,
    /// `page_size` of a `DMA_LOGGING_START` or `DMA_LOGGING_REPORT`, bytes.
    pub page_size: Option<u64>,
    /// `num_ranges` of a `DMA_LOGGING_START`.
    pub ranges: Option<u32>,
    /// The operation of `BUS_MASTER`: `VFIO_DEVICE_FEATURE_CLEAR_MASTER` (0) or `_SET_MASTER` (1).
    pub operation: Option<u32>,
}

impl From<DeviceState> for FeatureData {
    fn from(state: DeviceState) -> Self {
        Self {
            state: Some(state),
            ..Self::default()
        }
    }
}

json::object! {
    /// A feature of `VFIO_DEVICE_FEATURE` by its number and its name.
    NamedFeature: u32 {
        /// The feature.
        feature: u32,
        /// Its name in the uAPI, without its prefix; null for one that this version does not know.
        feature_name: Option<String>,
    } |feature| Self {
        feature: *feature,
        feature_name: feature_name(*feature).map(str::to_owned),
    }, |line| line.feature
}

/// The arguments of an ioctl on a VFIO device, read once at its entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case")]
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
        #[schemars(with = "String", extend("enum" = ["mask", "unmask", "trigger", "unknown"]))]
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
        #[serde(flatten, with = "NamedFeature")]
        feature: u32,
        /// The operation.
        #[serde(rename = "operations")]
        op: FeatureOp,
        /// What is asked for, as far as it is known for this feature.
        #[serde(flatten)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case")]
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
    #[serde(rename = "migration")]
    MigrationFlags {
        /// The flags.
        flags: u64,
    },
    /// The answer of `MIG_DATA_SIZE`.
    DataSize {
        /// Bytes.
        stop_copy_length: u64,
    },
    /// The answer is there but it cannot be understood.
    Malformed {
        /// One sentence: why.
        reason: String,
        /// A hash of the answer: two answers with the same one are the same.
        #[serde(skip)]
        digest: u64,
    },
    /// The memory that holds the answer could not be read.
    Unreadable,
}

json::written_as! {
    /// An answer, null where there is none.
    MaybeAnswer: Answer as Option<Answer> {
        |answer| Some(answer.clone()).filter(|answer| *answer != Answer::None),
        |answer| answer.unwrap_or(Answer::None)
    }
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

/// The name of a device's request without `VFIO_DEVICE_`, or its number.
#[derive(Clone, Copy, Debug)]
pub struct RequestName(pub u32);

impl RequestName {
    /// The name; `None` if the request has none here.
    pub fn known(self) -> Option<&'static str> {
        Some(match self.0 {
            uapi::VFIO_DEVICE_GET_INFO => "GET_INFO",
            uapi::VFIO_DEVICE_GET_REGION_INFO => "GET_REGION_INFO",
            uapi::VFIO_DEVICE_GET_IRQ_INFO => "GET_IRQ_INFO",
            uapi::VFIO_DEVICE_SET_IRQS => "SET_IRQS",
            uapi::VFIO_DEVICE_RESET => "RESET",
            uapi::VFIO_DEVICE_GET_PCI_HOT_RESET_INFO => "GET_PCI_HOT_RESET_INFO",
            uapi::VFIO_DEVICE_PCI_HOT_RESET => "PCI_HOT_RESET",
            uapi::VFIO_DEVICE_QUERY_GFX_PLANE => "QUERY_GFX_PLANE",
            uapi::VFIO_DEVICE_GET_GFX_DMABUF => "GET_GFX_DMABUF",
            uapi::VFIO_DEVICE_IOEVENTFD => "IOEVENTFD",
            uapi::VFIO_DEVICE_FEATURE => "FEATURE",
            uapi::VFIO_DEVICE_BIND_IOMMUFD => "BIND_IOMMUFD",
            uapi::VFIO_DEVICE_ATTACH_IOMMUFD_PT => "ATTACH_IOMMUFD_PT",
            uapi::VFIO_DEVICE_DETACH_IOMMUFD_PT => "DETACH_IOMMUFD_PT",
            _ => return None,
        })
    }
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(name) => f.write_str(name),
            None => write!(f, "ioctl {:#x}", self.0),
        }
    }
}

impl Call {
    /// Whether it changes the migration state.
    pub fn changes_state(&self) -> bool {
        matches!(self, Self::Feature { feature: VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, op, .. } if op.set && !op.probe)
    }
}

/// An ioctl on the device returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exit {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// Its arguments, as at entry.
    pub call: Call,
    /// When it began (CLOCK_MONOTONIC ns).
    pub begin_ns: u64,
    /// The return value (not negative), or the errno.
    #[serde(flatten, with = "Returned")]
    pub result: Result<i64, Errno>,
    /// What it handed back.
    #[serde(with = "MaybeAnswer")]
    pub answer: Answer,
}
