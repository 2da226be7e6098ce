//! The VFIO request numbers that both sides compare against (`include/uapi/linux/vfio.h`).

/// `_IO(VFIO_TYPE, VFIO_BASE + n)`: type `';'`, base 100.
const fn request(n: u32) -> u32 {
    ((b';' as u32) << 8) | (100 + n)
}

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
/// `VFIO_DEVICE_FEATURE_MASK`: the feature number within the flags.
pub const FEATURE_MASK: u32 = 0xffff;
/// `VFIO_DEVICE_BIND_IOMMUFD`.
pub const BIND_IOMMUFD: u32 = request(18);
/// `VFIO_DEVICE_ATTACH_IOMMUFD_PT`.
pub const ATTACH_IOMMUFD_PT: u32 = request(19);
/// `VFIO_DEVICE_DETACH_IOMMUFD_PT`.
pub const DETACH_IOMMUFD_PT: u32 = request(20);

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
/// `VFIO_PCI_NUM_REGIONS`: device-specific regions start here.
pub const FIRST_DEVICE_REGION: u64 = 9;
