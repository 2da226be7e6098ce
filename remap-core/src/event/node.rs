//! The files beside a device's own: groups, containers, device nodes, iommufds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeviceKey, Origin};

/// A container or an iommufd: the address of its kernel object. Names it within one trace; never
/// printed unless addresses were asked for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct NodeKey(pub u64);

/// A file of VFIO that is no device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Node {
    /// `/dev/vfio/N`: an IOMMU group.
    Group {
        /// N, if it could be read.
        number: Option<u32>,
    },
    /// `/dev/vfio/vfio`.
    Container {
        /// Which.
        #[serde(rename = "node")]
        key: NodeKey,
    },
    /// `/dev/vfio/devices/vfioN`.
    Cdev {
        /// N, if it could be read.
        number: Option<u32>,
    },
    /// `/dev/iommu`.
    Iommufd {
        /// Which.
        #[serde(rename = "node")]
        key: NodeKey,
    },
}

/// A device was seen for the first time in this trace, or since it was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceSeen {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// Its name: the BDF for a PCI device.
    #[serde(skip)]
    pub name: String,
    /// The kernel driver that it is bound to, if it could be read.
    pub driver: Option<String>,
    /// How it came to be known.
    pub origin: Origin,
}

/// A device's file was made: `VFIO_GROUP_GET_DEVICE_FD`, or the open of its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceFile {
    /// The device.
    #[serde(skip)]
    pub device: DeviceKey,
    /// Through which node.
    pub node: Node,
    /// The fd in that process, where the kernel hands it out there.
    pub fd: Option<i32>,
}
