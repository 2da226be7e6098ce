//! The VFIO request numbers that both sides compare against (`include/uapi/linux/vfio.h`).

/// `_IO(VFIO_TYPE, VFIO_BASE + n)`: type `';'`, base 100.
const fn request(n: u32) -> u32 {
    ((b';' as u32) << 8) | (100 + n)
}

/// `VFIO_GROUP_GET_DEVICE_FD`, on a group.
pub const GET_DEVICE_FD: u32 = request(6);
/// `VFIO_DEVICE_GET_REGION_INFO`.
pub const GET_REGION_INFO: u32 = request(8);
/// `VFIO_DEVICE_GET_IRQ_INFO`.
pub const GET_IRQ_INFO: u32 = request(9);
/// `VFIO_DEVICE_SET_IRQS`.
pub const SET_IRQS: u32 = request(10);
/// `VFIO_DEVICE_RESET`.
pub const RESET: u32 = request(11);
/// `VFIO_DEVICE_PCI_HOT_RESET`.
pub const PCI_HOT_RESET: u32 = request(13);
/// `VFIO_DEVICE_FEATURE`.
pub const FEATURE: u32 = request(17);
/// `VFIO_DEVICE_FEATURE_SET`.
pub const FEATURE_SET: u32 = 1 << 17;
/// `VFIO_DEVICE_FEATURE_PROBE`.
pub const FEATURE_PROBE: u32 = 1 << 18;
/// `VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE`.
pub const FEATURE_STATE: u32 = 2;
/// `VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP`.
pub const FEATURE_SLEEP: u32 = 4;
/// `VFIO_DEVICE_FEATURE_MASK`: the feature number within the flags.
pub const FEATURE_MASK: u32 = 0xffff;
/// `VFIO_DEVICE_BIND_IOMMUFD`.
pub const BIND_IOMMUFD: u32 = request(18);
/// `VFIO_DEVICE_ATTACH_IOMMUFD_PT`.
pub const ATTACH_IOMMUFD_PT: u32 = request(19);
/// `VFIO_DEVICE_DETACH_IOMMUFD_PT`.
pub const DETACH_IOMMUFD_PT: u32 = request(20);

/// `VFIO_MIG_GET_PRECOPY_INFO`, on a migration data fd.
pub const GET_PRECOPY_INFO: u32 = request(21);
/// `VFIO_IOMMU_MAP_DMA`, on a container.
pub const MAP_DMA: u32 = request(13);
/// `VFIO_IOMMU_UNMAP_DMA`, on a container.
pub const UNMAP_DMA: u32 = request(14);
/// `VFIO_DMA_UNMAP_FLAG_ALL`.
pub const UNMAP_ALL: u32 = 1 << 1;
/// `IOMMU_IOAS_MAP`, on an iommufd (`include/uapi/linux/iommufd.h`).
pub const IOAS_MAP: u32 = ((b';' as u32) << 8) | 0x85;
/// `IOMMU_IOAS_UNMAP`, on an iommufd.
pub const IOAS_UNMAP: u32 = ((b';' as u32) << 8) | 0x86;

/// Length of `struct vfio_irq_set` before its data, bytes.
pub const IRQ_SET_HEADER: usize = 20;
/// `VFIO_IRQ_SET_DATA_EVENTFD`.
pub const IRQ_SET_DATA_EVENTFD: u32 = 1 << 2;
/// `VFIO_IRQ_SET_DATA_NONE`.
pub const IRQ_SET_DATA_NONE: u32 = 1 << 0;
/// `VFIO_IRQ_SET_ACTION_MASK`.
pub const IRQ_SET_ACTION_MASK: u32 = 1 << 3;
/// `VFIO_IRQ_SET_ACTION_UNMASK`.
pub const IRQ_SET_ACTION_UNMASK: u32 = 1 << 4;
/// `VFIO_IRQ_SET_ACTION_TRIGGER`.
pub const IRQ_SET_ACTION_TRIGGER: u32 = 1 << 5;

/// Bits of the device file's offset below the region index (`VFIO_PCI_OFFSET_SHIFT`,
/// `include/linux/vfio_pci_core.h`).
pub const REGION_SHIFT: u32 = 40;
/// `VFIO_PCI_CONFIG_REGION_INDEX`.
pub const CONFIG_REGION: u64 = 7;
/// `VFIO_PCI_ROM_REGION_INDEX`: the BARs come before it.
pub const ROM_REGION: u64 = 6;
/// `VFIO_PCI_NUM_REGIONS`: device-specific regions start here.
pub const FIRST_DEVICE_REGION: u64 = 9;
