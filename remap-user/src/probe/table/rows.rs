//! The rows.

use super::{Need, Place, Program, Row, Topic, When};

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

/// The module of the device file.
const VFIO: Place = Place::Module("vfio");

/// The module of the iommufd.
const IOMMUFD: Place = Place::Module("iommufd");

/// What most rows have in common.
const ROW: Row = Row {
    hook: "",
    topic: Topic::Devices,
    functions: &[],
    beside: None,
    place: VFIO,
    traced: &[],
    probed: &[],
    in_interrupts: false,
    tells: true,
    without: "",
    need: Need::Wanted,
};

/// All hooks, in the order in which they are attached: what learns comes before what reports.
pub const TABLE: &[Row] = &[
    Row {
        hook: "eventfd_ctx_put",
        topic: Topic::Interrupts,
        functions: &["eventfd_ctx_put"],
        place: Place::Core,
        traced: &[entry("eventfd_ctx_put_fentry")],
        probed: &[entry("eventfd_ctx_put_kprobe")],
        in_interrupts: true,
        // It forgets contexts of failed calls, and of what the kernel lets go of by itself.
        tells: false,
        without: "a recycled eventfd may be taken for a device's",
        ..ROW
    },
    Row {
        hook: "eventfd_ctx_fileget",
        topic: Topic::Interrupts,
        functions: &["eventfd_ctx_fileget"],
        place: Place::Core,
        traced: &[at_return("eventfd_ctx_fileget_fexit")],
        probed: &[at_return("eventfd_ctx_fileget_kretprobe")],
        without: "unmask eventfds are not known, so an ack through one is not seen, and no missing-ack finding can be trusted where one is used",
        ..ROW
    },
    Row {
        hook: "eventfd_ctx_fdget",
        topic: Topic::Interrupts,
        functions: &["eventfd_ctx_fdget"],
        place: Place::Core,
        traced: &[at_return("eventfd_ctx_fdget_fexit")],
        probed: &[at_return("eventfd_ctx_fdget_kretprobe")],
        without: "no eventfd is known to be a device's, so there are no triggers",
        need: Need::Essential,
        ..ROW
    },
    Row {
        hook: "eventfd_release",
        topic: Topic::Interrupts,
        functions: &["eventfd_release"],
        place: Place::Core,
        traced: &[entry("eventfd_release_fentry")],
        probed: &[entry("eventfd_release_kprobe")],
        without: "a closed eventfd looks like one that nobody reads, so no never-read finding can be trusted",
        ..ROW
    },
    Row {
        hook: "eventfd_read",
        topic: Topic::Interrupts,
        functions: &["eventfd_read"],
        place: Place::Core,
        traced: &[at_return("eventfd_read_fexit")],
        probed: &[
            entry("eventfd_read_kprobe"),
            at_return("eventfd_read_kretprobe"),
        ],
        without: "no wake stage; no aliased-trigger, self-trigger, deadlock and never-read findings",
        ..ROW
    },
    Row {
        hook: "eventfd_write",
        topic: Topic::Interrupts,
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
        without: "no ack by eventfd, so bitmap cycles never complete: no missing-ack finding can be trusted; no self-trigger, ack-before-requery and ack-with-mapping findings of them",
        ..ROW
    },
    Row {
        hook: "unmap",
        topic: Topic::Mappings,
        functions: &["remove_vma", "vma_close", "vm_area_free"],
        place: Place::Core,
        traced: &[entry("unmap_fentry")],
        probed: &[entry("unmap_kprobe")],
        without: "no unmap stage, so what is unmapped seems to be mapped: no ack-with-mapping and dma-mapped findings can be trusted",
        ..ROW
    },
    Row {
        hook: "vfio_ioctl",
        topic: Topic::Devices,
        functions: &["vfio_device_fops_unl_ioctl"],
        probed: &[
            // The last of a row is attached first: here the entry, which takes no notice of a call
            // until all is in place, so that a return without one is a loss for certain.
            at_return("vfio_ioctl_kretprobe"),
            entry("vfio_ioctl_kprobe"),
        ],
        without: "nothing of a device is known",
        need: Need::Essential,
        ..ROW
    },
    Row {
        hook: "vfio_mmap",
        topic: Topic::Mappings,
        functions: &["vfio_device_fops_mmap"],
        probed: &[entry("vfio_mmap_kprobe"), at_return("vfio_mmap_kretprobe")],
        without: "no map and unmap stages; no ack-with-mapping and dma-mapped findings",
        ..ROW
    },
    Row {
        hook: "vfio_write",
        topic: Topic::Migration,
        functions: &["vfio_device_fops_write"],
        probed: &[
            entry("vfio_write_kprobe"),
            at_return("vfio_write_kretprobe"),
        ],
        without: "no transitions of migration v1, and none of the findings about them (missing-ack, not-enabled, impossible-change, …); no causes of zaps by config space",
        ..ROW
    },
    Row {
        hook: "vfio_release",
        topic: Topic::Devices,
        functions: &["vfio_device_fops_release"],
        probed: &[entry("vfio_release_kprobe")],
        without: "the death of an owner does not abort its cycles; no request-ignored finding can be trusted, and data-left is told late",
        ..ROW
    },
    Row {
        hook: "eventfd_ctx_do_read",
        topic: Topic::Interrupts,
        functions: &["eventfd_ctx_do_read"],
        place: Place::Core,
        traced: &[entry("eventfd_ctx_do_read_fentry")],
        probed: &[entry("eventfd_ctx_do_read_kprobe")],
        in_interrupts: true,
        without: "what the kernel itself serves looks unread, so no never-read and request-ignored findings can be trusted",
        ..ROW
    },
    Row {
        hook: "group_open",
        topic: Topic::Devices,
        functions: &["vfio_group_fops_open"],
        probed: &[entry("group_open_kprobe"), at_return("node_open_kretprobe")],
        without: "no opens of groups",
        ..ROW
    },
    Row {
        hook: "group_release",
        topic: Topic::Devices,
        functions: &["vfio_group_fops_release"],
        probed: &[entry("group_release_kprobe")],
        without: "no closes of groups",
        ..ROW
    },
    Row {
        hook: "group_ioctl",
        topic: Topic::Devices,
        functions: &["vfio_group_fops_unl_ioctl"],
        probed: &[
            entry("group_ioctl_kprobe"),
            at_return("group_ioctl_kretprobe"),
        ],
        without: "which group a device came from is unknown",
        ..ROW
    },
    Row {
        hook: "container_open",
        topic: Topic::Devices,
        functions: &["vfio_fops_open"],
        probed: &[
            entry("container_open_kprobe"),
            at_return("node_open_kretprobe"),
        ],
        without: "no opens of containers",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "container_release",
        topic: Topic::Devices,
        functions: &["vfio_fops_release"],
        probed: &[entry("container_release_kprobe")],
        without: "no closes of containers",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "container_ioctl",
        topic: Topic::Dma,
        functions: &["vfio_fops_unl_ioctl"],
        probed: &[entry("dma_kprobe"), at_return("dma_kretprobe")],
        without: "no mappings for DMA through containers; no dma-mapped finding",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "cdev_open",
        topic: Topic::Devices,
        functions: &["vfio_device_fops_cdev_open"],
        beside: Some("vfio_df_ioctl_bind_iommufd"),
        probed: &[entry("cdev_open_kprobe"), at_return("node_open_kretprobe")],
        without: "no opens of devices' own nodes",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "iommufd_open",
        topic: Topic::Devices,
        functions: &["iommufd_fops_open"],
        place: IOMMUFD,
        probed: &[
            entry("iommufd_open_kprobe"),
            at_return("node_open_kretprobe"),
        ],
        without: "no opens of iommufds",
        ..ROW
    },
    Row {
        hook: "iommufd_release",
        topic: Topic::Devices,
        functions: &["iommufd_fops_release"],
        place: IOMMUFD,
        probed: &[entry("iommufd_release_kprobe")],
        without: "no closes of iommufds",
        ..ROW
    },
    Row {
        hook: "iommufd_ioctl",
        topic: Topic::Dma,
        functions: &["iommufd_fops_ioctl"],
        place: IOMMUFD,
        probed: &[entry("dma_kprobe"), at_return("dma_kretprobe")],
        without: "no mappings for DMA through iommufds; no dma-mapped finding",
        ..ROW
    },
    Row {
        hook: "unmap_mapping_range",
        topic: Topic::Mappings,
        functions: &["unmap_mapping_range"],
        place: Place::Core,
        traced: &[entry("unmap_mapping_range_fentry")],
        probed: &[entry("unmap_mapping_range_kprobe")],
        without: "no zaps (kernels from 6.10), so what made a region fault again is unknown",
        ..ROW
    },
    Row {
        hook: "vfio_mmap_open",
        topic: Topic::Mappings,
        functions: &["vfio_pci_mmap_open"],
        place: Place::Module("vfio_pci_core"),
        probed: &[entry("vfio_mmap_open_kprobe")],
        without: "copies of mappings are told as zaps",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "zap_vma",
        topic: Topic::Mappings,
        functions: &["zap_vma_ptes", "zap_special_vma_range"],
        place: Place::Core,
        traced: &[entry("zap_vma_fentry")],
        probed: &[entry("zap_vma_kprobe")],
        without: "no zaps (kernels before 6.10), so what made a region fault again is unknown",
        ..ROW
    },
    Row {
        hook: "fault",
        topic: Topic::Mappings,
        functions: &["vm_fault_t (struct vm_fault *)"],
        place: Place::PciCore,
        probed: &[entry("fault_core_kprobe"), at_return("fault_kretprobe")],
        without: "no faults, so what a zap costs is unknown; no access-refused finding",
        ..ROW
    },
    Row {
        hook: "fault_order",
        topic: Topic::Mappings,
        functions: &["vm_fault_t (struct vm_fault *, unsigned int)"],
        place: Place::PciCore,
        probed: &[entry("fault_order_kprobe"), at_return("fault_kretprobe")],
        without: "no faults of more than a page",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "fault_vendor",
        topic: Topic::Mappings,
        functions: &[
            "vm_fault_t (struct vm_fault *)",
            "vm_fault_t (struct vm_fault *, enum page_entry_size)",
        ],
        place: Place::Vendor,
        probed: &[entry("fault_vendor_kprobe"), at_return("fault_kretprobe")],
        without: "no faults that the driver handles itself; no access-refused finding of them",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "fault_vendor_order",
        topic: Topic::Mappings,
        functions: &["vm_fault_t (struct vm_fault *, unsigned int)"],
        place: Place::Vendor,
        probed: &[entry("fault_order_kprobe"), at_return("fault_kretprobe")],
        without: "no faults of more than a page that the driver handles itself",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "data_read",
        topic: Topic::Migration,
        functions: &["ssize_t (struct file *, char *, size_t, loff_t *)"],
        place: Place::Vendor,
        probed: &[entry("data_read_kprobe"), at_return("data_kretprobe")],
        without: "what is saved while the device migrates is not seen; no data-left finding",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "data_write",
        topic: Topic::Migration,
        functions: &["ssize_t (struct file *, const char *, size_t, loff_t *)"],
        place: Place::Vendor,
        probed: &[entry("data_write_kprobe"), at_return("data_kretprobe")],
        without: "what is loaded while the device migrates is not seen",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "data_ioctl",
        topic: Topic::Migration,
        functions: &[
            "long int (struct file *, unsigned int, long unsigned int)",
            "long (struct file *, unsigned int, unsigned long)",
        ],
        place: Place::Vendor,
        probed: &[
            entry("data_ioctl_kprobe"),
            at_return("data_ioctl_kretprobe"),
        ],
        without: "how much a migration has still to save is not seen",
        need: Need::WherePresent,
        ..ROW
    },
    Row {
        hook: "eventfd_signal",
        topic: Topic::Interrupts,
        functions: &["eventfd_signal_mask"],
        place: Place::Core,
        traced: &[entry("eventfd_signal_fentry")],
        probed: &[entry("eventfd_signal_kprobe")],
        in_interrupts: true,
        without: "no triggers, so no cycles",
        need: Need::Essential,
        ..ROW
    },
];
