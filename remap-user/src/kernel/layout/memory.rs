//! Mappings of a device, their faults and zaps.

use remap_common::layout::{ABSENT, MemoryLayout};

use super::Ruler;
use crate::kernel::{Kernel, prototype};

/// A fault handler that is told how much to populate.
const WITH_ORDER: &str = "vm_fault_t (struct vm_fault *, unsigned int)";

pub(super) fn measure(ruler: &mut Ruler, kernel: &Kernel) -> MemoryLayout {
    let core = kernel.core.as_ref();
    let vfio = kernel.vfio.as_ref().unwrap_or(core);
    let unfaulted = "faults on mapped regions are not seen";
    let foreign =
        "mappings of a process that ended while another one looked at it seem to be alive";
    let fault_vma = ruler.offset(core, "vm_fault", &["vma"], unfaulted);
    // In place of `address` since 5.16 (824ddc601adc) stands what the process really touched.
    let fault_address = core
        .member_offset("vm_fault", &["real_address"])
        .unwrap_or_else(|| ruler.offset(core, "vm_fault", &["address"], unfaulted));
    // Where the device has no inode, zaps go mapping by mapping: nothing is missing.
    let inode = vfio.member_offset("vfio_device", &["inode"]);
    let inode_mapping = match inode {
        None => ABSENT,
        Some(_) => ruler.offset(core, "inode", &["i_mapping"], "zaps are not seen"),
    };
    MemoryLayout {
        fault_vma,
        fault_address,
        fault_fills_mapping: u32::from(
            prototype::matches(kernel.pci_core(), &[WITH_ORDER]).is_empty(),
        ),
        vma_mm: ruler.offset(core, "vm_area_struct", &["vm_mm"], "unmaps are not seen"),
        task_mm: ruler.offset(core, "task_struct", &["mm"], foreign),
        task_active_mm: ruler.offset(core, "task_struct", &["active_mm"], foreign),
        vfio_device_inode: inode.unwrap_or(ABSENT),
        inode_mapping,
        ..bars(ruler, kernel)
    }
}

/// What leads from a page frame number to the BAR, where the core puts that into `vm_pgoff`.
fn bars(ruler: &mut Ruler, kernel: &Kernel) -> MemoryLayout {
    const CORE: &str = "vfio_pci_core_device";
    let core = kernel.core.as_ref();
    let pci = kernel.pci_core_types().unwrap_or(core);
    if pci.member_offset(CORE, &["vma_list"]).is_none() {
        return MemoryLayout::UNKNOWN;
    }
    let misplaced = "the offsets of unmaps, faults and zaps are wrong";
    MemoryLayout {
        vma_private_data: ruler.offset(core, "vm_area_struct", &["vm_private_data"], misplaced),
        core_pdev: ruler.offset(pci, CORE, &["pdev"], misplaced),
        pdev_resource: ruler.offset(core, "pci_dev", &["resource"], misplaced),
        resource_size: core.struct_size("resource").unwrap_or(0),
        resource_start: ruler.offset(core, "resource", &["start"], misplaced),
        resource_end: ruler.offset(core, "resource", &["end"], misplaced),
        ..MemoryLayout::UNKNOWN
    }
}
