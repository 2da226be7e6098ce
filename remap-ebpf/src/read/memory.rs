//! Mappings of a device, their faults and zaps.

use remap_common::{
    layout::ABSENT,
    record::answer,
    uapi::{VFIO_PCI_OFFSET_SHIFT, VFIO_PCI_ROM_REGION_INDEX},
};

use super::word;

/// The mapping and the address of a fault.
#[inline(always)]
pub fn fault_of(vmf: u64) -> Option<(u64, u64)> {
    let vma: u64 = word(vmf, layout!(fault_vma))?;
    let address: u64 = word(vmf, layout!(fault_address))?;
    Some((vma, address))
}

/// The address space that a mapping is in.
#[inline(always)]
pub fn space_of(vma: u64) -> Option<u64> {
    word(vma, layout!(vma_mm))
}

/// The address space that a task lives in; null while it ends, and for a kernel thread.
#[inline(always)]
pub fn space_of_task(task: u64) -> Option<u64> {
    word(task, layout!(task_mm))
}

/// Whether the current task lives in an address space, or is about to end and lets go of it.
#[inline(always)]
pub fn lives_in(space: u64) -> bool {
    let task = super::current();
    space_of_task(task) == Some(space)
        || super::is_dying() == answer::YES && word(task, layout!(task_active_mm)) == Some(space)
}

/// Whether a handler without an order populates the whole mapping.
#[inline(always)]
pub fn fault_fills_mapping() -> bool {
    layout!(fault_fills_vma) != 0
}

/// The address space of the device's own inode; `None` on kernels where it has none.
#[inline(always)]
pub fn mapping_of_device(device: u64) -> Option<u64> {
    let inode: u64 = word(device, layout!(vfio_device_inode))?;
    word(inode, layout!(inode_mapping))
}

/// The offset in the device file that a mapping's `vm_pgoff` stands for, `place` being that
/// times the page size. Old cores put a page frame number there: it lies in a BAR.
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
