//! The offsets that only the walks need: over what was there before the trace.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ABSENT;

/// Byte offsets within kernel structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct WalkLayout {
    /// `struct task_struct.tgid`.
    pub task_tgid: u32,
    /// `struct task_struct.pid`.
    pub task_pid: u32,
    /// `struct task_struct.comm`.
    pub task_comm: u32,
    /// `struct vfio_device_file.access_granted`, one byte; [`ABSENT`] before 6.6 (82d93f580f1a),
    /// where a device's file is never without its device.
    pub file_granted: u32,
    /// `struct vfio_pci_core_device.vdev`.
    pub core_device: u32,
    /// `struct vfio_pci_core_device.pdev`.
    pub core_pci: u32,
    /// `struct pci_dev.dev`.
    pub pci_device: u32,
    /// `struct vfio_pci_core_device.irq_type`: the index that is enabled.
    pub core_irq_type: u32,
    /// `struct vfio_pci_core_device.ctx`.
    pub core_interrupts: u32,
    /// `struct vfio_pci_core_device.num_ctx`; [`ABSENT`] from 6.5 on (b156e48fffa9), where `ctx`
    /// is an xarray of pointers and no array of structs.
    pub core_interrupt_count: u32,
    /// `struct vfio_pci_core_device.err_trigger`.
    pub core_err: u32,
    /// `struct vfio_pci_core_device.req_trigger`.
    pub core_req: u32,
    /// `struct vfio_pci_core_device.pm_wake_eventfd_ctx`; [`ABSENT`] before 6.1 (453e6c98aa51).
    pub core_wake: u32,
    /// `struct vfio_pci_eventfd.ctx`, between `err_trigger` or `req_trigger` and the context;
    /// [`ABSENT`] where those are the context itself (before 98693e0897f7).
    pub wrapped_context: u32,
    /// Size of `struct vfio_pci_irq_ctx`.
    pub interrupt_bytes: u32,
    /// `struct vfio_pci_irq_ctx.trigger`.
    pub interrupt_trigger: u32,
    /// `struct vfio_pci_irq_ctx.mask`.
    pub interrupt_mask: u32,
    /// `struct vfio_pci_irq_ctx.unmask`.
    pub interrupt_unmask: u32,
    /// `struct virqfd.eventfd`.
    pub virqfd_context: u32,
    /// `struct module.name`.
    pub module_name: u32,
    /// `struct xarray.xa_head`.
    pub xarray_head: u32,
    /// `struct xa_node.shift`, one byte.
    pub node_shift: u32,
    /// `struct xa_node.slots`.
    pub node_slots: u32,
}

impl WalkLayout {
    /// All members absent.
    pub const UNKNOWN: Self = Self {
        task_tgid: ABSENT,
        task_pid: ABSENT,
        task_comm: ABSENT,
        file_granted: ABSENT,
        core_device: ABSENT,
        core_pci: ABSENT,
        pci_device: ABSENT,
        core_irq_type: ABSENT,
        core_interrupts: ABSENT,
        core_interrupt_count: ABSENT,
        core_err: ABSENT,
        core_req: ABSENT,
        core_wake: ABSENT,
        wrapped_context: ABSENT,
        interrupt_bytes: ABSENT,
        interrupt_trigger: ABSENT,
        interrupt_mask: ABSENT,
        interrupt_unmask: ABSENT,
        virqfd_context: ABSENT,
        module_name: ABSENT,
        xarray_head: ABSENT,
        node_shift: ABSENT,
        node_slots: ABSENT,
    };
}
