//! The offsets that only the walks need.

use remap_common::layout::{ABSENT, WalkLayout};

use super::Ruler;
use crate::kernel::{Kernel, btf::Btf};

pub(super) fn measure(ruler: &mut Ruler, kernel: &Kernel) -> WalkLayout {
    let core = kernel.core.as_ref();
    let vfio = kernel.vfio.as_ref().unwrap_or(core);
    let unseen = "devices and mappings from before the trace are not found";
    let unnamed = "the users of devices from before the trace have no names";
    let unbound = "a device node that is not bound yet counts as an open device";
    let layout = WalkLayout {
        task_tgid: ruler.offset(core, "task_struct", &["tgid"], unseen),
        task_pid: ruler.offset(core, "task_struct", &["pid"], unseen),
        task_comm: ruler.offset(core, "task_struct", &["comm"], unnamed),
        module_name: ruler.offset(
            core,
            "module",
            &["name"],
            "hooks in a module that is loaded again during the trace stay dead",
        ),
        file_granted: if vfio.has_struct("vfio_device_file") {
            ruler.offset(vfio, "vfio_device_file", &["access_granted"], unbound)
        } else {
            ABSENT
        },
        ..WalkLayout::UNKNOWN
    };
    // Without the module none of its devices is open.
    let built_in = || Some(core).filter(|core| core.has_struct(DEVICE));
    match kernel.pci_core_types().or_else(built_in) {
        Some(pci) => interrupts(ruler, core, pci, layout),
        None => layout,
    }
}

const DEVICE: &str = "vfio_pci_core_device";
const INTERRUPT: &str = "vfio_pci_irq_ctx";

/// Where `vfio_pci_core` keeps the eventfds of a device.
fn interrupts(ruler: &mut Ruler, core: &Btf, pci: &Btf, layout: WalkLayout) -> WalkLayout {
    let unfound = "interrupts that were enabled before the trace are not found";
    // Absent by design: an xarray knows its own size, and older kernels wrap nothing.
    let optional = |name, member| pci.member_offset(name, &[member]).unwrap_or(ABSENT);
    let mut offset =
        |btf: &Btf, name: &str, member: &str| ruler.offset(btf, name, &[member], unfound);
    WalkLayout {
        core_device: offset(pci, DEVICE, "vdev"),
        core_pci: offset(pci, DEVICE, "pdev"),
        pci_device: offset(core, "pci_dev", "dev"),
        core_irq_type: offset(pci, DEVICE, "irq_type"),
        core_interrupts: offset(pci, DEVICE, "ctx"),
        core_interrupt_count: optional(DEVICE, "num_ctx"),
        core_err: offset(pci, DEVICE, "err_trigger"),
        core_req: offset(pci, DEVICE, "req_trigger"),
        core_wake: optional(DEVICE, "pm_wake_eventfd_ctx"),
        wrapped_context: optional("vfio_pci_eventfd", "ctx"),
        interrupt_bytes: pci.struct_size(INTERRUPT).unwrap_or(ABSENT),
        interrupt_trigger: offset(pci, INTERRUPT, "trigger"),
        interrupt_mask: offset(pci, INTERRUPT, "mask"),
        interrupt_unmask: offset(pci, INTERRUPT, "unmask"),
        virqfd_context: offset(pci, "virqfd", "eventfd"),
        xarray_head: offset(core, "xarray", "xa_head"),
        node_shift: offset(core, "xa_node", "shift"),
        node_slots: offset(core, "xa_node", "slots"),
        ..layout
    }
}
