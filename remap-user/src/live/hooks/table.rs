//! The table of hooks.

use super::row::{Category, Place, Program, Requirement, Row, When};

const fn entry(name: &'static str) -> Program {
    Program {
        name,
        when: When::Entry,
    }
}

const fn at_return(name: &'static str) -> Program {
    Program {
        name,
        when: When::Return,
    }
}

/// The module of the device's file operations.
const VFIO: Place = Place::Module("vfio");

/// The module of iommufds.
const IOMMUFD: Place = Place::Module("iommufd");

/// The defaults of a row.
const ROW: Row = Row {
    hook: "",
    category: Category::Devices,
    functions: &[],
    beside: None,
    place: VFIO,
    traced: &[],
    probed: &[],
    in_interrupts: false,
    emits: true,
    impact: "",
    requirement: Requirement::Wanted,
};

/// All hooks, in the order of attachment: hooks that only record state come before hooks that
/// depend on that state.
pub const TABLE: &[Row] = &[
    Row {
        hook: "eventfd_ctx_put",
        category: Category::Interrupts,
        functions: &["eventfd_ctx_put"],
        place: Place::Core,
        traced: &[entry("eventfd_ctx_put_fentry")],
        probed: &[entry("eventfd_ctx_put_kprobe")],
        in_interrupts: true,
        // It removes the contexts of failed calls, and those whose last reference the kernel drops.
        emits: false,
        impact: "a reused eventfd context may be attributed to a device by mistake",
        ..ROW
    },
    Row {
        hook: "eventfd_ctx_fileget",
        category: Category::Interrupts,
        functions: &["eventfd_ctx_fileget"],
        place: Place::Core,
        traced: &[at_return("eventfd_ctx_fileget_fexit")],
        probed: &[at_return("eventfd_ctx_fileget_kretprobe")],
        impact: "unmask eventfds are unknown, so acks through them are not traced; missing-ack findings are unreliable where they are used",
        ..ROW
    },
    Row {
        hook: "eventfd_ctx_fdget",
        category: Category::Interrupts,
        functions: &["eventfd_ctx_fdget"],
        place: Place::Core,
        traced: &[at_return("eventfd_ctx_fdget_fexit")],
        probed: &[at_return("eventfd_ctx_fdget_kretprobe")],
        impact: "the eventfds of devices are unknown, so there are no triggers",
        requirement: Requirement::Essential,
        ..ROW
    },
    Row {
        hook: "eventfd_release",
        category: Category::Interrupts,
        functions: &["eventfd_release"],
        place: Place::Core,
        traced: &[entry("eventfd_release_fentry")],
        probed: &[entry("eventfd_release_kprobe")],
        impact: "closing an eventfd is not traced, so never-read findings are unreliable",
        ..ROW
    },
    Row {
        hook: "eventfd_read",
        category: Category::Interrupts,
        functions: &["eventfd_read"],
        place: Place::Core,
        traced: &[at_return("eventfd_read_fexit")],
        probed: &[
            entry("eventfd_read_kprobe"),
            at_return("eventfd_read_kretprobe"),
        ],
        impact: "no wake stage; no aliased-trigger, self-trigger, deadlock and never-read findings",
        ..ROW
    },
    Row {
        hook: "eventfd_write",
        category: Category::Interrupts,
        functions: &["eventfd_write"],
        place: Place::Core,
        traced: &[
            entry("eventfd_write_fentry"),
            at_return("eventfd_write_fexit"),
        ],
        probed: &[
            entry("eventfd_write_kprobe"),
            at_return("eventfd_write_kretprobe"),
        ],
        impact: "acks by eventfd are not traced, so bitmap cycles never complete and missing-ack findings are unreliable; no self-trigger, ack-before-requery and ack-with-mapping findings for them",
        ..ROW
    },
    Row {
        hook: "unmap",
        category: Category::Mappings,
        functions: &["remove_vma", "vma_close", "vm_area_free"],
        place: Place::Core,
        traced: &[entry("unmap_fentry")],
        probed: &[entry("unmap_kprobe")],
        impact: "no unmap stage; unmapped ranges still count as mapped, so ack-with-mapping and dma-mapped findings are unreliable",
        ..ROW
    },
    Row {
        hook: "vfio_ioctl",
        category: Category::Devices,
        functions: &["vfio_device_fops_unl_ioctl"],
        probed: &[
            // The last program of a row is attached first. Here that is the entry: it emits nothing
            // until all hooks are in place, so that a return without an entry is certainly a loss.
            at_return("vfio_ioctl_kretprobe"),
            entry("vfio_ioctl_kprobe"),
        ],
        impact: "device ioctls are not traced, so nothing about a device is known",
        requirement: Requirement::Essential,
        ..ROW
    },
    Row {
        hook: "vfio_mmap",
        category: Category::Mappings,
        functions: &["vfio_device_fops_mmap"],
        probed: &[entry("vfio_mmap_kprobe"), at_return("vfio_mmap_kretprobe")],
        impact: "no map and unmap stages; no ack-with-mapping and dma-mapped findings",
        ..ROW
    },
    Row {
        hook: "vfio_write",
        category: Category::Migration,
        functions: &["vfio_device_fops_write"],
        probed: &[
            entry("vfio_write_kprobe"),
            at_return("vfio_write_kretprobe"),
        ],
        impact: "no state changes of the legacy migration region (v1) and no findings about them (missing-ack, not-enabled, impossible-change, …); zaps caused by config writes have no cause",
        ..ROW
    },
    Row {
        hook: "vfio_release",
        category: Category::Devices,
        functions: &["vfio_device_fops_release"],
        probed: &[entry("vfio_release_kprobe")],
        impact: "cycles are not aborted when their user exits; request-ignored findings are unreliable, and data-left is reported late",
        ..ROW
    },
    Row {
        hook: "eventfd_ctx_do_read",
        category: Category::Interrupts,
        functions: &["eventfd_ctx_do_read"],
        place: Place::Core,
        traced: &[entry("eventfd_ctx_do_read_fentry")],
        probed: &[entry("eventfd_ctx_do_read_kprobe")],
        in_interrupts: true,
        impact: "reads by the kernel itself (irqfd, virqfd) are not traced, so never-read and request-ignored findings are unreliable",
        ..ROW
    },
    Row {
        hook: "group_open",
        category: Category::Devices,
        functions: &["vfio_group_fops_open"],
        probed: &[entry("group_open_kprobe"), at_return("node_open_kretprobe")],
        impact: "opens of groups are not traced",
        ..ROW
    },
    Row {
        hook: "group_release",
        category: Category::Devices,
        functions: &["vfio_group_fops_release"],
        probed: &[entry("group_release_kprobe")],
        impact: "closes of groups are not traced",
        ..ROW
    },
    Row {
        hook: "group_ioctl",
        category: Category::Devices,
        functions: &["vfio_group_fops_unl_ioctl"],
        probed: &[
            entry("group_ioctl_kprobe"),
            at_return("group_ioctl_kretprobe"),
        ],
        impact: "the group of a device is unknown",
        ..ROW
    },
    Row {
        hook: "container_open",
        category: Category::Devices,
        functions: &["vfio_fops_open"],
        probed: &[
            entry("container_open_kprobe"),
            at_return("node_open_kretprobe"),
        ],
        impact: "opens of containers are not traced",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "container_release",
        category: Category::Devices,
        functions: &["vfio_fops_release"],
        probed: &[entry("container_release_kprobe")],
        impact: "closes of containers are not traced",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "container_ioctl",
        category: Category::Dma,
        functions: &["vfio_fops_unl_ioctl"],
        probed: &[entry("dma_kprobe"), at_return("dma_kretprobe")],
        impact: "DMA mappings through containers are not traced; no dma-mapped findings for them",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "cdev_open",
        category: Category::Devices,
        functions: &["vfio_device_fops_cdev_open"],
        beside: Some("vfio_df_ioctl_bind_iommufd"),
        probed: &[entry("cdev_open_kprobe"), at_return("node_open_kretprobe")],
        impact: "opens of device cdevs are not traced",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "iommufd_open",
        category: Category::Devices,
        functions: &["iommufd_fops_open"],
        place: IOMMUFD,
        probed: &[
            entry("iommufd_open_kprobe"),
            at_return("node_open_kretprobe"),
        ],
        impact: "opens of iommufds are not traced",
        ..ROW
    },
    Row {
        hook: "iommufd_release",
        category: Category::Devices,
        functions: &["iommufd_fops_release"],
        place: IOMMUFD,
        probed: &[entry("iommufd_release_kprobe")],
        impact: "closes of iommufds are not traced",
        ..ROW
    },
    Row {
        hook: "iommufd_ioctl",
        category: Category::Dma,
        functions: &["iommufd_fops_ioctl"],
        place: IOMMUFD,
        probed: &[entry("dma_kprobe"), at_return("dma_kretprobe")],
        impact: "DMA mappings through iommufds are not traced; no dma-mapped findings for them",
        ..ROW
    },
    Row {
        hook: "unmap_mapping_range",
        category: Category::Mappings,
        functions: &["unmap_mapping_range"],
        place: Place::Core,
        traced: &[entry("unmap_mapping_range_fentry")],
        probed: &[entry("unmap_mapping_range_kprobe")],
        impact: "no zaps (kernels from 6.10), so the causes of repeated faults are unknown",
        ..ROW
    },
    Row {
        hook: "vfio_mmap_open",
        category: Category::Mappings,
        functions: &["vfio_pci_mmap_open"],
        place: Place::Module("vfio_pci_core"),
        probed: &[entry("vfio_mmap_open_kprobe")],
        impact: "VMA copies (fork, split) are reported as zaps",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "zap_vma",
        category: Category::Mappings,
        functions: &["zap_vma_ptes", "zap_special_vma_range"],
        place: Place::Core,
        traced: &[entry("zap_vma_fentry")],
        probed: &[entry("zap_vma_kprobe")],
        impact: "no zaps (kernels before 6.10), so the causes of repeated faults are unknown",
        ..ROW
    },
    Row {
        hook: "fault",
        category: Category::Mappings,
        functions: &["vm_fault_t (struct vm_fault *)"],
        place: Place::PciCore,
        probed: &[entry("fault_core_kprobe"), at_return("fault_kretprobe")],
        impact: "no faults, so the cost of a zap is unknown; no access-refused findings",
        ..ROW
    },
    Row {
        hook: "fault_order",
        category: Category::Mappings,
        functions: &["vm_fault_t (struct vm_fault *, unsigned int)"],
        place: Place::PciCore,
        probed: &[entry("fault_order_kprobe"), at_return("fault_kretprobe")],
        impact: "faults on ranges of more than one page are not traced",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "fault_vendor",
        category: Category::Mappings,
        functions: &[
            "vm_fault_t (struct vm_fault *)",
            "vm_fault_t (struct vm_fault *, enum page_entry_size)",
        ],
        place: Place::Vendor,
        probed: &[entry("fault_vendor_kprobe"), at_return("fault_kretprobe")],
        impact: "faults that a vendor driver handles are not traced; no access-refused findings for them",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "fault_vendor_order",
        category: Category::Mappings,
        functions: &["vm_fault_t (struct vm_fault *, unsigned int)"],
        place: Place::Vendor,
        probed: &[entry("fault_order_kprobe"), at_return("fault_kretprobe")],
        impact: "faults on ranges of more than one page that a vendor driver handles are not traced",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "data_read",
        category: Category::Migration,
        functions: &["ssize_t (struct file *, char *, size_t, loff_t *)"],
        place: Place::Vendor,
        probed: &[entry("data_read_kprobe"), at_return("data_kretprobe")],
        impact: "reads of migration data are not traced; no data-left findings",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "data_write",
        category: Category::Migration,
        functions: &["ssize_t (struct file *, const char *, size_t, loff_t *)"],
        place: Place::Vendor,
        probed: &[entry("data_write_kprobe"), at_return("data_kretprobe")],
        impact: "writes of migration data are not traced",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "data_ioctl",
        category: Category::Migration,
        functions: &[
            "long int (struct file *, unsigned int, long unsigned int)",
            "long (struct file *, unsigned int, unsigned long)",
        ],
        place: Place::Vendor,
        probed: &[
            entry("data_ioctl_kprobe"),
            at_return("data_ioctl_kretprobe"),
        ],
        impact: "the remaining amount of migration data is unknown",
        requirement: Requirement::WherePresent,
        ..ROW
    },
    Row {
        hook: "eventfd_signal",
        category: Category::Interrupts,
        functions: &["eventfd_signal_mask"],
        place: Place::Core,
        traced: &[entry("eventfd_signal_fentry")],
        probed: &[entry("eventfd_signal_kprobe")],
        in_interrupts: true,
        impact: "no triggers, so no cycles",
        requirement: Requirement::Essential,
        ..ROW
    },
];
