//! Groups and device nodes.

use remap_common::layout::{ABSENT, NodeLayout};

use super::Ruler;
use crate::kernel::btf::Btf;

pub(super) fn measure(ruler: &mut Ruler, core: &Btf, vfio: &Btf) -> NodeLayout {
    let unnumbered = "the numbers of groups are unknown";
    NodeLayout {
        inode_cdev: ruler.offset(core, "inode", &["i_cdev"], unnumbered),
        group_cdev: ruler.offset(vfio, "vfio_group", &["cdev"], unnumbered),
        group_iommu_group: ruler.offset(vfio, "vfio_group", &["iommu_group"], unnumbered),
        group_name: ruler.offset(
            vfio,
            "vfio_group",
            &["dev", "kobj", "name"],
            "the number of a group whose devices are gone is unknown",
        ),
        iommu_group_id: ruler.offset(core, "iommu_group", &["id"], unnumbered),
        // Absent where each file of a device comes from its group.
        device_file_group: vfio
            .member_offset("vfio_device_file", &["group"])
            .unwrap_or(ABSENT),
        vfio_device_index: ruler.offset(
            vfio,
            "vfio_device",
            &["index"],
            "the numbers of device nodes are unknown",
        ),
    }
}
