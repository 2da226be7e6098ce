//! Mappings of a device, their faults and zaps.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ABSENT;

/// Where faults and zaps say what they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct MemoryLayout {
    /// `struct vm_fault.vma`.
    pub fault_vma: u32,
    /// `struct vm_fault.real_address`, before 5.16 `address`.
    pub fault_address: u32,
    /// 1 where the core's handler fills the whole mapping, as it did until it got an order in 6.12
    /// (f9e54c3a2f5b).
    pub fault_fills_mapping: u32,
    /// `struct vm_area_struct.vm_mm`.
    pub vma_mm: u32,
    /// `struct task_struct.mm`.
    pub task_mm: u32,
    /// `struct task_struct.active_mm`.
    pub task_active_mm: u32,
    /// `struct vm_area_struct.vm_private_data`.
    pub vma_private_data: u32,
    /// `struct vfio_device.inode`; [`ABSENT`] before 6.10 (b7c5e64fecfa), where zaps go by mapping.
    pub vfio_device_inode: u32,
    /// `struct inode.i_mapping`.
    pub inode_mapping: u32,
    /// `struct vfio_pci_core_device.pdev`, where the core puts page frame numbers into `vm_pgoff`: it
    /// does so as long as it has a `vma_list`, until 6.10 (aac6db75a9fc). [`ABSENT`] elsewhere.
    pub core_pdev: u32,
    /// `struct pci_dev.resource`.
    pub pdev_resource: u32,
    /// Size of `struct resource`.
    pub resource_size: u32,
    /// `struct resource.start`.
    pub resource_start: u32,
    /// `struct resource.end`.
    pub resource_end: u32,
}

impl MemoryLayout {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        fault_vma: ABSENT,
        fault_address: ABSENT,
        fault_fills_mapping: 0,
        vma_mm: ABSENT,
        task_mm: ABSENT,
        task_active_mm: ABSENT,
        vma_private_data: ABSENT,
        vfio_device_inode: ABSENT,
        inode_mapping: ABSENT,
        core_pdev: ABSENT,
        pdev_resource: ABSENT,
        resource_size: 0,
        resource_start: ABSENT,
        resource_end: ABSENT,
    };
}
