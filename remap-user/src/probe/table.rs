//! The hooks as a table: which programs stand for a hook, on which function, and what a trace
//! lacks without it. The programs themselves say more, in `remap-ebpf/src/probe/`.

use std::collections::BTreeSet;

/// Where a hook's function lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the core kernel: it has a traced and a probed form.
    Core,
    /// In a module of this name (or built in): it has the probed form only.
    Module(&'static str),
    /// In `vfio_pci_core`, whatever their names: probed, all that have one of the row's
    /// prototypes.
    PciCore,
    /// The same in the modules that use `vfio_pci_core`: the drivers of devices.
    Vendor,
}

/// What it means that a hook is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A trace is pointless.
    Essential,
    /// A trace lacks something.
    Wanted,
    /// Where the function is not there, neither is what it would show.
    WherePresent,
}

/// When a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the function's entry: fentry, or kprobe.
    Entry,
    /// At its return: fexit, or kretprobe.
    Return,
}

/// One program of a hook.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// When it runs.
    pub when: When,
}

/// One hook.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The hook's name: that of its file in `remap-ebpf/src/probe/`.
    pub hook: &'static str,
    /// The functions that can serve, best first; for [`Place::PciCore`] and [`Place::Vendor`] their
    /// prototypes.
    pub functions: &'static [&'static str],
    /// Where they live.
    pub place: Place,
    /// The programs of the traced form; empty if there is none.
    pub traced: &'static [Program],
    /// The programs of the probed form.
    pub probed: &'static [Program],
    /// What a trace lacks without this hook.
    pub without: &'static str,
    /// How much it is missed.
    pub need: Need,
}

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

/// Every function that a hook may be attached to by its name.
pub fn functions() -> BTreeSet<&'static str> {
    TABLE
        .iter()
        .filter(|row| !matches!(row.place, Place::PciCore | Place::Vendor))
        .flat_map(|row| row.functions)
        .copied()
        .collect()
}

/// All hooks, in the order in which they are attached: what learns comes before what reports.
pub const TABLE: &[Row] = &[
    Row {
        hook: "eventfd_ctx_put",
        functions: &["eventfd_ctx_put"],
        place: Place::Core,
        traced: &[entry("eventfd_ctx_put_fentry")],
        probed: &[entry("eventfd_ctx_put_kprobe")],
        without: "a recycled eventfd may be taken for a device's",
        need: Need::Wanted,
    },
    Row {
        hook: "eventfd_ctx_fileget",
        functions: &["eventfd_ctx_fileget"],
        place: Place::Core,
        traced: &[at_return("eventfd_ctx_fileget_fexit")],
        probed: &[at_return("eventfd_ctx_fileget_kretprobe")],
        without: "unmask eventfds are not known, so an ack through one is not seen",
        need: Need::Wanted,
    },
    Row {
        hook: "eventfd_ctx_fdget",
        functions: &["eventfd_ctx_fdget"],
        place: Place::Core,
        traced: &[at_return("eventfd_ctx_fdget_fexit")],
        probed: &[at_return("eventfd_ctx_fdget_kretprobe")],
        without: "no eventfd is known to be a device's, so there are no triggers",
        need: Need::Essential,
    },
    Row {
        hook: "eventfd_release",
        functions: &["eventfd_release"],
        place: Place::Core,
        traced: &[entry("eventfd_release_fentry")],
        probed: &[entry("eventfd_release_kprobe")],
        without: "a closed eventfd looks like one that nobody reads",
        need: Need::Wanted,
    },
    Row {
        hook: "eventfd_read",
        functions: &["eventfd_read"],
        place: Place::Core,
        traced: &[at_return("eventfd_read_fexit")],
        probed: &[
            entry("eventfd_read_kprobe"),
            at_return("eventfd_read_kretprobe"),
        ],
        without: "no wake stage; no aliased-trigger, self-trigger and deadlock findings",
        need: Need::Wanted,
    },
    Row {
        hook: "eventfd_write",
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
        without: "no ack by eventfd: bitmap cycles never complete",
        need: Need::Wanted,
    },
    Row {
        hook: "unmap",
        functions: &["remove_vma", "vma_close", "vm_area_free"],
        place: Place::Core,
        traced: &[entry("unmap_fentry")],
        probed: &[entry("unmap_kprobe")],
        without: "no unmap stage; no ack-with-mapping finding",
        need: Need::Wanted,
    },
    Row {
        hook: "vfio_ioctl",
        functions: &["vfio_device_fops_unl_ioctl"],
        place: VFIO,
        traced: &[],
        probed: &[
            entry("vfio_ioctl_kprobe"),
            at_return("vfio_ioctl_kretprobe"),
        ],
        without: "nothing of a device is known",
        need: Need::Essential,
    },
    Row {
        hook: "vfio_mmap",
        functions: &["vfio_device_fops_mmap"],
        place: VFIO,
        traced: &[],
        probed: &[entry("vfio_mmap_kprobe"), at_return("vfio_mmap_kretprobe")],
        without: "no map and unmap stages; no ack-with-mapping finding",
        need: Need::Wanted,
    },
    Row {
        hook: "vfio_write",
        functions: &["vfio_device_fops_write"],
        place: VFIO,
        traced: &[],
        probed: &[
            entry("vfio_write_kprobe"),
            at_return("vfio_write_kretprobe"),
        ],
        without: "no transitions of migration v1",
        need: Need::Wanted,
    },
    Row {
        hook: "vfio_release",
        functions: &["vfio_device_fops_release"],
        place: VFIO,
        traced: &[],
        probed: &[entry("vfio_release_kprobe")],
        without: "the death of an owner does not abort its cycles",
        need: Need::Wanted,
    },
    Row {
        hook: "eventfd_signal",
        functions: &["eventfd_signal_mask"],
        place: Place::Core,
        traced: &[entry("eventfd_signal_fentry")],
        probed: &[entry("eventfd_signal_kprobe")],
        without: "no triggers, so no cycles",
        need: Need::Essential,
    },
];
