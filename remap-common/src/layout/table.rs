//! The table: each value that the programs read by, where BTF describes it, and what is lost on a
//! kernel where it is missing.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::row::{Present, Row, Shape, Types};

/// Makes the struct, its unknown value and the descriptions from `name: row,`.
macro_rules! kernel_layout {
    ($($(#[$doc:meta])* $name:ident: $row:expr,)*) => {
        /// Byte offsets within kernel structures, and shapes of functions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable)]
        #[repr(C)]
        pub struct KernelLayout {
            $($(#[$doc])* #[doc = concat!("`", stringify!($row), "`")] pub $name: u32,)*
        }

        impl KernelLayout {
            /// Nothing is measured.
            pub const UNKNOWN: Self = Self { $($name: $row.unknown(),)* };
        }

        /// A field of [`KernelLayout`] for each row, in its order.
        pub const MEMBERS: &[Member] = &[$(Member {
            field: stringify!($name),
            row: $row,
            set: |layout, value| layout.$name = value,
        },)*];
    };
}

/// How user space fills a field of [`KernelLayout`].
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name.
    pub field: &'static str,
    /// How it is measured.
    pub row: Row,
    /// Sets it.
    pub set: fn(&mut KernelLayout, u32),
}

/// A member of the core kernel's structs.
const fn core(path: &'static str) -> Row {
    Row::offset(Types::Core, path)
}

/// A member of the `vfio` module's structs.
const fn vfio(path: &'static str) -> Row {
    Row::offset(Types::Vfio, path)
}

/// A member of the `vfio_pci_core` module's structs.
const fn pci(path: &'static str) -> Row {
    Row::offset(Types::PciCore, path)
}

/// Device files have a struct of their own since 6.6 (b1a59be8a2b6); before, their private data is
/// the device itself.
const DEVICE_FILES: Present = Present::Struct(Types::Vfio, "vfio_device_file");
/// Devices have an inode since 6.10 (b7c5e64fecfa); before, each mapping is zapped for itself.
const DEVICE_INODES: Present = Present::Member(Types::Vfio, "vfio_device.inode");
/// `vfio_pci_core` is loaded or built in.
const PCI_CORE: Present = Present::Struct(Types::PciCore, "vfio_pci_core_device");
/// As long as it has a `vma_list`, until 6.10 (aac6db75a9fc), `vfio_pci_core` puts page frame
/// numbers into `vm_pgoff`.
const VMA_LIST: Present = Present::Member(Types::PciCore, VMA_LIST_PATH);
const VMA_LIST_PATH: &str = "vfio_pci_core_device.vma_list";

/// `NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET` (`include/linux/preempt.h`).
const INTERRUPT_BITS: u32 = 0x00ff_0100;
/// The same where eight bits in the middle count how often interrupts were disabled, which came
/// together with `local_interrupt_disable_state`.
const INTERRUPT_BITS_WITH_DISABLE: u32 = 0xff00_0100;

/// A fault handler that gets the order to populate.
const FAULT_WITH_ORDER: &str = "vm_fault_t (struct vm_fault *, unsigned int)";

const NO_VALUE: &str = "values that user space reads from an eventfd are unknown";
const NO_MAPPINGS: &str = "mappings are not seen";
const NO_FAULTS: &str = "faults on mapped regions are not seen";
const NO_NAMES: &str = "devices have no names";
const NO_DRIVERS: &str = "the drivers of devices are unknown";
const NO_GROUPS: &str = "the numbers of groups are unknown";
const NO_FILES: &str = "which device a migration data fd or a device file belongs to is unknown";
const NO_ACTIVITY: &str = "a call whose return was lost is counted only once its thread has exited";
const NO_OPEN_DATA: &str = "migration data fds from before the trace are not recognised";
const NO_OPEN_DEVICES: &str = "devices and mappings from before the trace are not found";
const NO_OPEN_IRQS: &str = "interrupts that were enabled before the trace are not found";
const STALE_MM: &str =
    "mappings of a process that ended while another process held its mm seem to be alive";
const WRONG_OFFSETS: &str = "the offsets of unmaps, faults and zaps are wrong";
const NO_PDEV: &str = "interrupts that were enabled before the trace are not found, and before \
                       6.10 the offsets of unmaps, faults and zaps are wrong";

kernel_layout! {
    // The current task.
    /// The bits of the preempt count that are set in an interrupt.
    interrupt_bits: Row::new(Shape::ByVariable(
        "local_interrupt_disable_state", INTERRUPT_BITS_WITH_DISABLE, INTERRUPT_BITS)),
    task_flags: core("task_struct.flags")
        .impact("whether a device is closed by a process that ends is unknown"),
    task_files: core("task_struct.files").impact(NO_FILES),
    task_mm: core("task_struct.mm").impact(STALE_MM),
    task_active_mm: core("task_struct.active_mm").impact(STALE_MM),
    task_tgid: core("task_struct.tgid").impact(NO_OPEN_DEVICES),
    task_pid: core("task_struct.pid").impact(NO_OPEN_DEVICES),
    task_state: core("task_struct.__state").impact(NO_ACTIVITY),
    task_on_cpu: core("task_struct.on_cpu").impact(NO_ACTIVITY),
    task_comm: core("task_struct.comm").impact("the users of devices from before the trace have no names"),

    // Files.
    file_private_data: core("file.private_data").fatal(),
    file_f_op: core("file.f_op").impact(NO_MAPPINGS),
    file_inode: core("file.f_inode").impact(NO_OPEN_DATA),
    files_fdt: core("files_struct.fdt").impact(NO_FILES),
    fdtable_max_fds: core("fdtable.max_fds").impact(NO_FILES),
    fdtable_fd: core("fdtable.fd").impact(NO_FILES),
    inode_sb: core("inode.i_sb").impact(NO_OPEN_DATA),
    inode_cdev: core("inode.i_cdev").impact(NO_GROUPS),
    inode_mapping: core("inode.i_mapping").only_with(DEVICE_INODES).impact("zaps are not seen"),
    super_block_magic: core("super_block.s_magic").impact(NO_OPEN_DATA),
    file_operations_read: core("file_operations.read").impact(NO_OPEN_DATA),
    file_operations_write: core("file_operations.write").impact(NO_OPEN_DATA),
    file_operations_ioctl: core("file_operations.unlocked_ioctl").impact(NO_OPEN_DATA),

    // Reads.
    kiocb_filp: core("kiocb.ki_filp").impact("reads of eventfds are not seen"),
    iov_iter_type: core("iov_iter.iter_type").impact(NO_VALUE),
    iov_iter_ubuf: core("iov_iter.ubuf").impact(NO_VALUE),
    iov_iter_offset: core("iov_iter.iov_offset").impact(NO_VALUE),
    /// Absent before 6.0 (fcb14cb1bdac).
    iter_ubuf: Row::new(Shape::Enumerator("iter_type", "ITER_UBUF")),

    // eventfds.
    eventfd_count: core("eventfd_ctx.count").impact("the counter before a signal is unknown"),
    eventfd_flags: core("eventfd_ctx.flags")
        .impact("what the kernel itself takes from an eventfd is unknown"),
    eventfd_kref: core("eventfd_ctx.kref").impact("a recycled eventfd could be taken for a device's"),
    /// The addend is the second parameter; from 6.8 (3652117f8548) it is always 1.
    signal_has_addend: Row::new(Shape::HasParameters("eventfd_signal_mask", 3)),

    // VMAs and faults.
    vma_start: core("vm_area_struct.vm_start").impact(NO_MAPPINGS),
    vma_end: core("vm_area_struct.vm_end").impact(NO_MAPPINGS),
    vma_pgoff: core("vm_area_struct.vm_pgoff").impact(NO_MAPPINGS),
    vma_file: core("vm_area_struct.vm_file").impact(NO_MAPPINGS),
    vma_mm: core("vm_area_struct.vm_mm").impact("unmaps are not seen"),
    fault_vma: core("vm_fault.vma").impact(NO_FAULTS),
    /// What the process really accessed has a member of its own since 5.16 (824ddc601adc).
    fault_address: core("vm_fault.real_address").or("vm_fault.address").impact(NO_FAULTS),
    /// A handler without an order populates the whole VMA; `vfio_pci_core` has none since 6.12
    /// (f9e54c3a2f5b).
    fault_fills_vma: Row::new(Shape::LacksPrototype(FAULT_WITH_ORDER)),

    // Devices.
    device_file_device: vfio("vfio_device_file.device").only_with(DEVICE_FILES).fatal(),
    /// Null for a file of the device's own node.
    device_file_group: vfio("vfio_device_file.group"),
    /// One byte; since 6.6 (82d93f580f1a). Before, a device's file is never without its device.
    device_file_granted: vfio("vfio_device_file.access_granted")
        .only_with(DEVICE_FILES)
        .impact("a device node that is not bound yet counts as an open device"),
    vfio_device_dev: vfio("vfio_device.dev").impact(NO_NAMES),
    vfio_device_open_count: vfio("vfio_device.open_count")
        .impact("each closed file of a device counts as its last"),
    vfio_device_index: vfio("vfio_device.index").impact("the numbers of device nodes are unknown"),
    vfio_device_inode: vfio("vfio_device.inode"),
    device_name: core("device.kobj.name").impact(NO_NAMES),
    device_driver: core("device.driver").impact(NO_DRIVERS),
    driver_name: core("device_driver.name").impact(NO_DRIVERS),
    module_name: core("module.name")
        .impact("hooks in a module that is loaded again during the trace stay detached"),

    // Groups.
    group_cdev: vfio("vfio_group.cdev").impact(NO_GROUPS),
    group_iommu_group: vfio("vfio_group.iommu_group").impact(NO_GROUPS),
    group_name: vfio("vfio_group.dev.kobj.name")
        .impact("the number of a group whose devices are gone is unknown"),
    iommu_group_id: core("iommu_group.id").impact(NO_GROUPS),

    // PCI devices: from a page frame number in vm_pgoff to the BAR.
    /// `vm_pgoff` is a page frame number.
    pgoff_is_pfn: Row::new(Shape::HasMember(Types::PciCore, VMA_LIST_PATH)),
    vma_private_data: core("vm_area_struct.vm_private_data").only_with(VMA_LIST).impact(WRONG_OFFSETS),
    core_pdev: pci("vfio_pci_core_device.pdev").impact(NO_PDEV),
    pdev_resource: core("pci_dev.resource").only_with(VMA_LIST).impact(WRONG_OFFSETS),
    resource_bytes: Row::new(Shape::Size(Types::Core, "resource"))
        .only_with(VMA_LIST)
        .impact(WRONG_OFFSETS),
    resource_start: core("resource.start").only_with(VMA_LIST).impact(WRONG_OFFSETS),
    resource_end: core("resource.end").only_with(VMA_LIST).impact(WRONG_OFFSETS),

    // PCI devices: the eventfds of their interrupts.
    core_vdev: pci("vfio_pci_core_device.vdev").impact(NO_OPEN_IRQS),
    pdev_dev: core("pci_dev.dev").only_with(PCI_CORE).impact(NO_OPEN_IRQS),
    /// The IRQ index that is enabled.
    core_irq_type: pci("vfio_pci_core_device.irq_type").impact(NO_OPEN_IRQS),
    core_ctx: pci("vfio_pci_core_device.ctx").impact(NO_OPEN_IRQS),
    /// Absent since 6.5 (b156e48fffa9), where `ctx` is an xarray of pointers and no array of structs.
    core_num_ctx: pci("vfio_pci_core_device.num_ctx"),
    core_err_trigger: pci("vfio_pci_core_device.err_trigger").impact(NO_OPEN_IRQS),
    core_req_trigger: pci("vfio_pci_core_device.req_trigger").impact(NO_OPEN_IRQS),
    /// Since 6.1 (453e6c98aa51).
    core_wake: pci("vfio_pci_core_device.pm_wake_eventfd_ctx"),
    /// Between `err_trigger` or `req_trigger` and the context since 98693e0897f7; before, those are
    /// the context itself.
    wrapped_ctx: pci("vfio_pci_eventfd.ctx"),
    irq_ctx_bytes: Row::new(Shape::Size(Types::PciCore, "vfio_pci_irq_ctx")).impact(NO_OPEN_IRQS),
    irq_ctx_trigger: pci("vfio_pci_irq_ctx.trigger").impact(NO_OPEN_IRQS),
    irq_ctx_mask: pci("vfio_pci_irq_ctx.mask").impact(NO_OPEN_IRQS),
    irq_ctx_unmask: pci("vfio_pci_irq_ctx.unmask").impact(NO_OPEN_IRQS),
    virqfd_eventfd: pci("virqfd.eventfd").impact(NO_OPEN_IRQS),
    xarray_head: core("xarray.xa_head").only_with(PCI_CORE).impact(NO_OPEN_IRQS),
    /// One byte.
    xa_node_shift: core("xa_node.shift").only_with(PCI_CORE).impact(NO_OPEN_IRQS),
    xa_node_slots: core("xa_node.slots").only_with(PCI_CORE).impact(NO_OPEN_IRQS),
}
