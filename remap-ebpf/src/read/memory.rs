//! Mappings of a device, their faults and zaps.

use remap_common::{
    layout::ABSENT,
    record::Tristate,
    uapi::{VFIO_PCI_OFFSET_SHIFT, VFIO_PCI_ROM_REGION_INDEX},
};

use super::word;

/// The VMA and the address of a fault.
#[inline(always)]
pub fn fault_of(vmf: u64) -> Option<(u64, u64)> {
    let vma: u64 = word(vmf, layout!(fault_vma))?;
    let address: u64 = word(vmf, layout!(fault_address))?;
    Some((vma, address))
}

/// The mm of a VMA.
#[inline(always)]
pub fn mm_of_vma(vma: u64) -> Option<u64> {
    word(vma, layout!(vma_mm))
}

/// The mm of a task; null while it exits, and for a kernel thread.
#[inline(always)]
pub fn mm_of_task(task: u64) -> Option<u64> {
    word(task, layout!(task_mm))
}

/// Whether the current task runs in this mm, or exits and drops it.
#[inline(always)]
pub fn runs_in(mm: u64) -> bool {
    let task = super::current();
    mm_of_task(task) == Some(mm)
        || super::is_exiting() == Tristate::Yes && word(task, layout!(task_active_mm)) == Some(mm)
}

/// Whether a handler without an order populates the whole VMA.
#[inline(always)]
pub fn fault_fills_vma() -> bool {
    layout!(fault_fills_vma) != 0
}

/// The inode mapping of a device; `None` on kernels where devices have no inode.
#[inline(always)]
pub fn inode_mapping_of(device: u64) -> Option<u64> {
    let inode: u64 = word(device, layout!(vfio_device_inode))?;
    word(inode, layout!(inode_mapping))
}

/// The offset in the device file of a VMA's `vm_pgoff`; `place` is that times the page size. Before
/// 6.10 `vfio_pci_core` stores a page frame number there, which lies in a BAR.
#[inline(always)]
pub fn offset_in_device(vma: u64, place: u64) -> u64 {
    if layout!(pgoff_is_pfn) == 0 || layout!(resource_bytes) == ABSENT {
        return place;
    }
    let Some(core) = word::<u64>(vma, layout!(vma_private_data)) else {
        return place;
    };
    let Some(pdev) = word::<u64>(core, layout!(core_pdev)) else {
        return place;
    };
    for bar in 0..VFIO_PCI_ROM_REGION_INDEX {
        let resource = layout!(pdev_resource) + bar * layout!(resource_bytes);
        let Some(start) = word::<u64>(pdev, resource + layout!(resource_start)) else {
            return place;
        };
        let Some(end) = word::<u64>(pdev, resource + layout!(resource_end)) else {
            return place;
        };
        if start != 0 && start <= place && place <= end {
            return (u64::from(bar) << VFIO_PCI_OFFSET_SHIFT) + (place - start);
        }
    }
    place
}
