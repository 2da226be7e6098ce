//! Interrupts of every kind: what they are called, and what is said of them.

use crate::event::{Errno, Task, UNKNOWN_INDEX};

/// What an IRQ index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IrqName {
    /// `VFIO_PCI_INTX_IRQ_INDEX`.
    Intx,
    /// `VFIO_PCI_MSI_IRQ_INDEX`.
    Msi,
    /// `VFIO_PCI_MSIX_IRQ_INDEX`.
    Msix,
    /// `VFIO_PCI_ERR_IRQ_INDEX`.
    Err,
    /// `VFIO_PCI_REQ_IRQ_INDEX`.
    Req,
    /// An index that its description names a remap IRQ.
    Remap,
    /// Nobody knows the index: its eventfd is inferred to be the device's.
    Inferred,
    /// Any other: of a vendor's driver, or of a device that is not PCI.
    Other,
}

impl IrqName {
    /// The name of `index` on a PCI device, where it is no remap IRQ.
    pub fn pci(index: u32) -> Self {
        match index {
            0 => Self::Intx,
            1 => Self::Msi,
            2 => Self::Msix,
            3 => Self::Err,
            4 => Self::Req,
            UNKNOWN_INDEX => Self::Inferred,
            _ => Self::Other,
        }
    }

    /// The name in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intx => "INTX",
            Self::Msi => "MSI",
            Self::Msix => "MSIX",
            Self::Err => "ERR",
            Self::Req => "REQ",
            Self::Remap => "remap",
            Self::Inferred => "inferred",
            Self::Other => "other",
        }
    }
}

/// What a `VFIO_DEVICE_SET_IRQS` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IrqVerb {
    /// Gave eventfds to signal.
    Enable,
    /// Took them away: the whole index, or each one that was named.
    Disable,
    /// Masked.
    Mask,
    /// Unmasked.
    Unmask,
    /// Signalled eventfds on user space's behalf.
    Trigger,
    /// Gave or took eventfds that mask or unmask.
    Arm,
    /// Something that this version does not know.
    Unknown,
}

impl IrqVerb {
    /// The word in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Mask => "mask",
            Self::Unmask => "unmask",
            Self::Trigger => "trigger",
            Self::Arm => "arm",
            Self::Unknown => "unknown",
        }
    }
}

/// A `VFIO_DEVICE_SET_IRQS` returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IrqChange {
    /// Name of the device.
    pub device: String,
    /// When it returned (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// When it began (CLOCK_MONOTONIC ns).
    pub begin_ns: u64,
    /// IRQ index.
    pub index: u32,
    /// What that is.
    pub name: IrqName,
    /// What it did.
    pub verb: IrqVerb,
    /// First sub-index.
    pub start: u32,
    /// Number of sub-indexes; 0 for the whole index.
    pub count: u32,
    /// Success, or the errno.
    pub result: Result<(), Errno>,
    /// The thread.
    pub task: Task,
}

/// A signalled eventfd was read, or taken by the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Name of the device.
    pub device: String,
    /// IRQ index; [`UNKNOWN_INDEX`] where it is inferred.
    pub index: u32,
    /// What that is.
    pub name: IrqName,
    /// Sub-index.
    pub sub: u32,
    /// The first signal that it got (CLOCK_MONOTONIC ns); `None` if that was not observed.
    pub signal_ns: Option<u64>,
    /// When it was read or taken (CLOCK_MONOTONIC ns).
    pub time_ns: u64,
    /// How many signals it got; `None` if that is not known.
    pub signals: Option<u64>,
    /// Whether the kernel itself took it (KVM's irqfd, a virqfd), and not user space.
    pub in_kernel: bool,
    /// The thread.
    pub task: Task,
}

impl Interrupt {
    /// From the first signal to the read, ns.
    pub fn latency(&self) -> Option<u64> {
        self.time_ns.checked_sub(self.signal_ns?)
    }
}
