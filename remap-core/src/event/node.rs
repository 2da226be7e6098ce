//! The files beside a device's own: groups, containers, device nodes, iommufds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
