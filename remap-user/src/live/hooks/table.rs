//! The table of hooks.

use remap_core::event::LostKind;

use super::row::{
    Category,
    Place::{self, Core, PciCore, Vendor},
    Program,
    Requirement::{self, Essential, WherePresent},
    Row, When,
};

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

/// The module of PCI devices' operations.
const VFIO_PCI_CORE: Place = Place::Module("vfio_pci_core");

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
    records: LostKind::Other,
    impact: "",
    requirement: Requirement::Wanted,
};

/// Makes the table from rows: the hook, its category and place, its functions, the programs of both
/// forms, the fields that differ from [`ROW`], and the impact of its absence.
macro_rules! hooks {
    ($(
        $hook:literal: $category:ident in $place:ident $functions:tt
        $(traced $traced:tt)? probed $probed:tt
        $(with { $($field:ident: $value:expr),* })?
        impact $impact:literal,
    )*) => {
        /// All hooks, in the order of attachment: hooks that only record state come before hooks
        /// that depend on that state.
        pub const TABLE: &[Row] = &[$(Row {
            hook: $hook,
            category: Category::$category,
            functions: &$functions,
            place: $place,
            $(traced: &$traced,)?
            probed: &$probed,
            impact: $impact,
            $($($field: $value,)*)?
            ..ROW
        }),*];
    };
}

hooks! {
    // It removes the contexts of failed calls, and those whose last reference the kernel drops.
    "eventfd_ctx_put": Interrupts in Core ["eventfd_ctx_put"]
        traced [entry("eventfd_ctx_put_fentry")] probed [entry("eventfd_ctx_put_kprobe")]
        with { in_interrupts: true, emits: false }
        impact "a reused eventfd context may be attributed to a device by mistake",
    "eventfd_ctx_fileget": Interrupts in Core ["eventfd_ctx_fileget"]
        traced [at_return("eventfd_ctx_fileget_fexit")]
        probed [at_return("eventfd_ctx_fileget_kretprobe")]
        impact "unmask eventfds are unknown, so acks through them are not traced",
    "eventfd_ctx_fdget": Interrupts in Core ["eventfd_ctx_fdget"]
        traced [at_return("eventfd_ctx_fdget_fexit")]
        probed [at_return("eventfd_ctx_fdget_kretprobe")]
        with { requirement: Essential }
        impact "the eventfds of devices are unknown, so there are no triggers",
    "eventfd_release": Interrupts in Core ["eventfd_release"]
        traced [entry("eventfd_release_fentry")] probed [entry("eventfd_release_kprobe")]
        impact "closing an eventfd is not traced",
    "eventfd_read": Interrupts in Core ["eventfd_read"]
        traced [at_return("eventfd_read_fexit")]
        probed [entry("eventfd_read_kprobe"), at_return("eventfd_read_kretprobe")]
        with { records: LostKind::Read }
        impact "no wake stage",
    "eventfd_write": Interrupts in Core ["eventfd_write"]
        traced [entry("eventfd_write_fentry"), at_return("eventfd_write_fexit")]
        probed [entry("eventfd_write_kprobe"), at_return("eventfd_write_kretprobe")]
        impact "acks by eventfd are not traced, so bitmap cycles never complete",
    "unmap": Mappings in Core ["remove_vma", "vma_close", "vm_area_free"]
        traced [entry("unmap_fentry")] probed [entry("unmap_kprobe")]
        impact "no unmap stage; unmapped ranges still count as mapped",
    // The last program of a row is attached first. Here that is the entry: it emits nothing until
    // all hooks are in place, so that a return without an entry is certainly a loss.
    "vfio_ioctl": Devices in VFIO ["vfio_device_fops_unl_ioctl"]
        probed [at_return("vfio_ioctl_kretprobe"), entry("vfio_ioctl_kprobe")]
        with { requirement: Essential }
        impact "device ioctls are not traced, so nothing about a device is known",
    "vfio_mmap": Mappings in VFIO ["vfio_device_fops_mmap"]
        probed [entry("vfio_mmap_kprobe"), at_return("vfio_mmap_kretprobe")]
        impact "no map and unmap stages",
    "vfio_write": Migration in VFIO ["vfio_device_fops_write"]
        probed [entry("vfio_write_kprobe"), at_return("vfio_write_kretprobe")]
        impact "no state changes of the legacy migration region (v1); zaps caused by config writes have no cause",
    "vfio_release": Devices in VFIO ["vfio_device_fops_release"]
        probed [entry("vfio_release_kprobe")]
        impact "cycles are not aborted when their user exits",
    "vfio_request": Devices in VFIO_PCI_CORE ["vfio_pci_core_request"]
        probed [entry("vfio_request_kprobe")]
        impact "the kernel's requests to close a device are seen only by its REQ eventfd",
    "eventfd_ctx_do_read": Interrupts in Core ["eventfd_ctx_do_read"]
        traced [entry("eventfd_ctx_do_read_fentry")] probed [entry("eventfd_ctx_do_read_kprobe")]
        with { in_interrupts: true, records: LostKind::Consumed }
        impact "reads by the kernel itself (irqfd, virqfd) are not traced",
    "group_open": Devices in VFIO ["vfio_group_fops_open"]
        probed [entry("group_open_kprobe"), at_return("node_open_kretprobe")]
        impact "opens of groups are not traced",
    "group_release": Devices in VFIO ["vfio_group_fops_release"]
        probed [entry("group_release_kprobe")]
        impact "closes of groups are not traced",
    "group_ioctl": Devices in VFIO ["vfio_group_fops_unl_ioctl"]
        probed [entry("group_ioctl_kprobe"), at_return("group_ioctl_kretprobe")]
        impact "the group of a device is unknown",
    "container_open": Devices in VFIO ["vfio_fops_open"]
        probed [entry("container_open_kprobe"), at_return("node_open_kretprobe")]
        with { requirement: WherePresent }
        impact "opens of containers are not traced",
    "container_release": Devices in VFIO ["vfio_fops_release"]
        probed [entry("container_release_kprobe")]
        with { requirement: WherePresent }
        impact "closes of containers are not traced",
    "container_ioctl": Dma in VFIO ["vfio_fops_unl_ioctl"]
        probed [entry("dma_kprobe"), at_return("dma_kretprobe")]
        with { requirement: WherePresent }
        impact "DMA mappings through containers are not traced",
    "cdev_open": Devices in VFIO ["vfio_device_fops_cdev_open"]
        probed [entry("cdev_open_kprobe"), at_return("node_open_kretprobe")]
        with { beside: Some("vfio_df_ioctl_bind_iommufd"), requirement: WherePresent }
        impact "opens of device cdevs are not traced",
    "iommufd_open": Devices in IOMMUFD ["iommufd_fops_open"]
        probed [entry("iommufd_open_kprobe"), at_return("node_open_kretprobe")]
        impact "opens of iommufds are not traced",
    "iommufd_release": Devices in IOMMUFD ["iommufd_fops_release"]
        probed [entry("iommufd_release_kprobe")]
        impact "closes of iommufds are not traced",
    "iommufd_ioctl": Dma in IOMMUFD ["iommufd_fops_ioctl"]
        probed [entry("dma_kprobe"), at_return("dma_kretprobe")]
        impact "DMA mappings through iommufds are not traced",
    "unmap_mapping_range": Mappings in Core ["unmap_mapping_range"]
        traced [entry("unmap_mapping_range_fentry")] probed [entry("unmap_mapping_range_kprobe")]
        impact "no zaps (kernels from 6.10), so the causes of repeated faults are unknown",
    "vfio_mmap_open": Mappings in VFIO_PCI_CORE ["vfio_pci_mmap_open"]
        probed [entry("vfio_mmap_open_kprobe")]
        with { requirement: WherePresent }
        impact "VMA copies (fork, split) are reported as zaps",
    "zap_vma": Mappings in Core ["zap_vma_ptes", "zap_special_vma_range"]
        traced [entry("zap_vma_fentry")] probed [entry("zap_vma_kprobe")]
        impact "no zaps (kernels before 6.10), so the causes of repeated faults are unknown",
    "fault": Mappings in PciCore ["vm_fault_t (struct vm_fault *)"]
        probed [entry("fault_core_kprobe"), at_return("fault_kretprobe")]
        with { records: LostKind::Fault }
        impact "no faults, so the cost of a zap is unknown",
    "fault_order": Mappings in PciCore ["vm_fault_t (struct vm_fault *, unsigned int)"]
        probed [entry("fault_order_kprobe"), at_return("fault_kretprobe")]
        with { records: LostKind::Fault, requirement: WherePresent }
        impact "faults on ranges of more than one page are not traced",
    "fault_vendor": Mappings in Vendor ["vm_fault_t (struct vm_fault *)", "vm_fault_t (struct vm_fault *, enum page_entry_size)"]
        probed [entry("fault_vendor_kprobe"), at_return("fault_kretprobe")]
        with { records: LostKind::Fault, requirement: WherePresent }
        impact "faults that a vendor driver handles are not traced",
    "fault_vendor_order": Mappings in Vendor ["vm_fault_t (struct vm_fault *, unsigned int)"]
        probed [entry("fault_order_kprobe"), at_return("fault_kretprobe")]
        with { records: LostKind::Fault, requirement: WherePresent }
        impact "faults on ranges of more than one page that a vendor driver handles are not traced",
    "data_read": Migration in Vendor ["ssize_t (struct file *, char *, size_t, loff_t *)"]
        probed [entry("data_read_kprobe"), at_return("data_kretprobe")]
        with { records: LostKind::Data, requirement: WherePresent }
        impact "reads of migration data are not traced",
    "data_write": Migration in Vendor ["ssize_t (struct file *, const char *, size_t, loff_t *)"]
        probed [entry("data_write_kprobe"), at_return("data_kretprobe")]
        with { records: LostKind::Data, requirement: WherePresent }
        impact "writes of migration data are not traced",
    "data_ioctl": Migration in Vendor ["long int (struct file *, unsigned int, long unsigned int)", "long (struct file *, unsigned int, unsigned long)"]
        probed [entry("data_ioctl_kprobe"), at_return("data_ioctl_kretprobe")]
        with { records: LostKind::Data, requirement: WherePresent }
        impact "the remaining amount of migration data is unknown",
    "eventfd_signal": Interrupts in Core ["eventfd_signal_mask"]
        traced [entry("eventfd_signal_fentry")] probed [entry("eventfd_signal_kprobe")]
        with { in_interrupts: true, records: LostKind::Signal, requirement: Essential }
        impact "no triggers, so no cycles",
}
