//! The enumerations of the records.

use super::number::{Enumeration, Wire};

enumeration! {
    /// How something came to be known.
    Origin {
        /// It happened during the trace.
        Seen = 0, "seen";
        /// It was there when the trace began, and was found in the kernel's own structures.
        Found = 1, "found";
        /// Inferred: an eventfd that no `SET_IRQS` of the trace named was signalled by a thread
        /// inside a call on the device.
        SignalledInside = 2, "signalled_inside";
        /// Inferred: a thread read such an eventfd, and next asked again for the description of a
        /// region that the counter named.
        ReadBeforeRequery = 3, "read_before_requery";
        /// Inferred in user space, emitted by no program: a word of the legacy protocol was written
        /// to the start of a region that was not described in the trace, of a device that was open
        /// before it.
        StateWritten = 4, "state_written";
    }
}

impl Origin {
    /// Whether an eventfd's meaning was concluded from its use, not observed.
    pub fn is_inferred(self) -> bool {
        matches!(self, Self::SignalledInside | Self::ReadBeforeRequery)
    }
}

enumeration! {
    /// An answer that may not be known.
    Tristate {
        /// It could not be read.
        Unknown = 0, "unknown";
        /// Yes.
        Yes = 1, "yes";
        /// No.
        No = 2, "no";
    }
}

enumeration! {
    /// What an eventfd was given to a device for.
    Role {
        /// The kernel signals it (`VFIO_IRQ_SET_ACTION_TRIGGER`).
        Trigger = 0, "trigger";
        /// User space writes it to mask (`VFIO_IRQ_SET_ACTION_MASK`).
        Mask = 1, "mask";
        /// User space writes it to unmask (`VFIO_IRQ_SET_ACTION_UNMASK`).
        Unmask = 2, "unmask";
        /// The kernel signals it when the device leaves low power
        /// (`VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP`).
        Wakeup = 3, "wakeup";
    }
}

enumeration! {
    /// In which call a zap happened, on the same thread.
    Cause {
        /// In none that is traced.
        Unknown = 0, "unknown";
        /// An ioctl: `detail` is its request, `value` the flags of a `VFIO_DEVICE_FEATURE`.
        Ioctl = 1, "ioctl";
        /// A write to config space: `detail` is the offset, `value` what was written.
        ConfigWrite = 2, "config_write";
        /// A write to the legacy migration region's word.
        StateWrite = 3, "state_write";
    }
}

enumeration! {
    /// What was done to a mapping for DMA.
    DmaKind {
        /// `VFIO_IOMMU_MAP_DMA` or `IOMMU_IOAS_MAP`.
        Map = 1, "map";
        /// `VFIO_IOMMU_UNMAP_DMA` or `IOMMU_IOAS_UNMAP` of a range.
        Unmap = 2, "unmap";
        /// The same with `VFIO_DMA_UNMAP_FLAG_ALL`, or of the whole address space.
        UnmapAll = 3, "unmap_all";
    }
}

enumeration! {
    /// What a node is.
    NodeKind {
        /// `/dev/vfio/N`: an IOMMU group.
        Group = 1, "group";
        /// `/dev/vfio/vfio`.
        Container = 2, "container";
        /// `/dev/vfio/devices/vfioN`.
        Cdev = 3, "cdev";
        /// `/dev/iommu`.
        Iommufd = 4, "iommufd";
    }
}

enumeration! {
    /// What a lost record can have been.
    LostKind {
        /// The kernel's signal of an eventfd that may be a remap IRQ's.
        Signal = 0, "signal";
        /// A read of such an eventfd.
        Read = 1, "read";
        /// A signal or a read of the eventfd of an interrupt that vfio-pci itself defines, or a call
        /// that signals, masks or unmasks such interrupts.
        Interrupt = 2, "interrupt";
        /// A page fault on a mapped region.
        Fault = 3, "fault";
        /// A read or a write of migration data.
        Data = 4, "data";
        /// A counter that the kernel itself has taken: for KVM's irqfd, or a virqfd.
        Consumed = 5, "consumed";
        /// Anything.
        Other = 6, "other";
    }
}
