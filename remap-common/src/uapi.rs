//! The numbers of the kernel's user space interface that both sides compare against, under the
//! kernel's own names. `remap-user/tests/mirror` holds each of them against the system's headers,
//! vfio-bindings or libc.

/// Defines each number, and a table of all for the test.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: $type = $value;)*

        /// Every number here with its name.
        pub const NUMBERS: &[(&str, u64)] = &[$((stringify!($name), $name as u64)),*];
    };
}

/// `_IO(VFIO_TYPE, number)`: VFIO and iommufd declare all requests without direction and size, and
/// with the type `';'`.
const fn request(number: u32) -> u32 {
    ((b';' as u32) << 8) | number
}

/// `_IO(VFIO_TYPE, VFIO_BASE + n)`.
const fn vfio(n: u32) -> u32 {
    request(100 + n)
}

numbers! {
    // Requests of include/uapi/linux/vfio.h: on a container,
    /// The version of the API.
    VFIO_GET_API_VERSION: u32 = vfio(0);
    /// Asks for an IOMMU model.
    VFIO_CHECK_EXTENSION: u32 = vfio(1);
    /// Chooses the IOMMU model.
    VFIO_SET_IOMMU: u32 = vfio(2);
    /// Maps memory for DMA.
    VFIO_IOMMU_MAP_DMA: u32 = vfio(13);
    /// Unmaps memory for DMA.
    VFIO_IOMMU_UNMAP_DMA: u32 = vfio(14);
    // on a group,
    /// Whether the group can be used.
    VFIO_GROUP_GET_STATUS: u32 = vfio(3);
    /// Puts the group into a container.
    VFIO_GROUP_SET_CONTAINER: u32 = vfio(4);
    /// Opens a device of the group.
    VFIO_GROUP_GET_DEVICE_FD: u32 = vfio(6);
    // on a device,
    /// Describes the device.
    VFIO_DEVICE_GET_INFO: u32 = vfio(7);
    /// Describes a region.
    VFIO_DEVICE_GET_REGION_INFO: u32 = vfio(8);
    /// Describes an IRQ index.
    VFIO_DEVICE_GET_IRQ_INFO: u32 = vfio(9);
    /// Sets eventfds of an IRQ index, masks, unmasks or triggers.
    VFIO_DEVICE_SET_IRQS: u32 = vfio(10);
    /// Resets the device.
    VFIO_DEVICE_RESET: u32 = vfio(11);
    /// Which devices a reset of the bus or slot resets.
    VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: u32 = vfio(12);
    /// Resets the device's bus or slot.
    VFIO_DEVICE_PCI_HOT_RESET: u32 = vfio(13);
    /// Describes a plane of a virtual GPU's screen.
    VFIO_DEVICE_QUERY_GFX_PLANE: u32 = vfio(14);
    /// Exports such a plane as a dma-buf.
    VFIO_DEVICE_GET_GFX_DMABUF: u32 = vfio(15);
    /// Lets an eventfd write to a region.
    VFIO_DEVICE_IOEVENTFD: u32 = vfio(16);
    /// Asks for or uses a feature, the migration state among them.
    VFIO_DEVICE_FEATURE: u32 = vfio(17);
    /// Binds a device file to an iommufd.
    VFIO_DEVICE_BIND_IOMMUFD: u32 = vfio(18);
    /// Attaches a device to a page table.
    VFIO_DEVICE_ATTACH_IOMMUFD_PT: u32 = vfio(19);
    /// Detaches a device from its page table.
    VFIO_DEVICE_DETACH_IOMMUFD_PT: u32 = vfio(20);
    // and on a migration data file.
    /// How much data is left before the device is stopped.
    VFIO_MIG_GET_PRECOPY_INFO: u32 = vfio(21);

    // Requests of include/uapi/linux/iommufd.h.
    /// Makes an address space.
    IOMMU_IOAS_ALLOC: u32 = request(0x81);
    /// Maps memory for DMA.
    IOMMU_IOAS_MAP: u32 = request(0x85);
    /// Unmaps memory for DMA.
    IOMMU_IOAS_UNMAP: u32 = request(0x86);

    // struct vfio_device_feature.flags.
    /// The feature's number within the flags.
    VFIO_DEVICE_FEATURE_MASK: u32 = 0xffff;
    /// Reads the feature.
    VFIO_DEVICE_FEATURE_GET: u32 = 1 << 16;
    /// Writes the feature.
    VFIO_DEVICE_FEATURE_SET: u32 = 1 << 17;
    /// Asks whether the device has the feature.
    VFIO_DEVICE_FEATURE_PROBE: u32 = 1 << 18;
    /// What the device can do in a migration.
    VFIO_DEVICE_FEATURE_MIGRATION: u32 = 1;
    /// The migration state.
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: u32 = 2;
    /// Low power until the next access.
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: u32 = 3;
    /// Low power, with an eventfd that is signalled when the device wakes.
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP: u32 = 4;
    /// Ends low power.
    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: u32 = 5;
    /// Starts the logging of DMA writes.
    VFIO_DEVICE_FEATURE_DMA_LOGGING_START: u32 = 6;
    /// Ends the logging of DMA writes.
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: u32 = 7;
    /// Reads which pages were written.
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: u32 = 8;
    /// How much data the stop-copy phase will have.
    VFIO_DEVICE_FEATURE_MIG_DATA_SIZE: u32 = 9;

    // struct vfio_device_feature_migration.flags.
    /// The device has STOP_COPY.
    VFIO_MIGRATION_STOP_COPY: u64 = 1 << 0;
    /// The device has the P2P states.
    VFIO_MIGRATION_P2P: u64 = 1 << 1;
    /// The device has the PRE_COPY states.
    VFIO_MIGRATION_PRE_COPY: u64 = 1 << 2;

    // enum vfio_device_mig_state.
    /// The device has failed; only a reset helps.
    VFIO_DEVICE_STATE_ERROR: u32 = 0;
    /// It does nothing.
    VFIO_DEVICE_STATE_STOP: u32 = 1;
    /// It runs.
    VFIO_DEVICE_STATE_RUNNING: u32 = 2;
    /// It is stopped and its state is read.
    VFIO_DEVICE_STATE_STOP_COPY: u32 = 3;
    /// It is stopped and its state is written.
    VFIO_DEVICE_STATE_RESUMING: u32 = 4;
    /// It runs without DMA to other devices.
    VFIO_DEVICE_STATE_RUNNING_P2P: u32 = 5;
    /// It runs while its state is read.
    VFIO_DEVICE_STATE_PRE_COPY: u32 = 6;
    /// Both of the last two.
    VFIO_DEVICE_STATE_PRE_COPY_P2P: u32 = 7;

    // The device_state word of the legacy migration region; before 5.18 without V1.
    /// The device runs.
    VFIO_DEVICE_STATE_V1_RUNNING: u32 = 1 << 0;
    /// Its state is read.
    VFIO_DEVICE_STATE_V1_SAVING: u32 = 1 << 1;
    /// Its state is written.
    VFIO_DEVICE_STATE_V1_RESUMING: u32 = 1 << 2;

    // struct vfio_region_info.flags.
    /// The region can be read.
    VFIO_REGION_INFO_FLAG_READ: u32 = 1 << 0;
    /// The region can be written.
    VFIO_REGION_INFO_FLAG_WRITE: u32 = 1 << 1;
    /// The region can be mapped.
    VFIO_REGION_INFO_FLAG_MMAP: u32 = 1 << 2;
    /// The answer has a capability chain.
    VFIO_REGION_INFO_FLAG_CAPS: u32 = 1 << 3;

    // struct vfio_irq_info.flags.
    /// The IRQ index takes eventfds.
    VFIO_IRQ_INFO_EVENTFD: u32 = 1 << 0;
    /// The interrupt is masked when it is signalled.
    VFIO_IRQ_INFO_AUTOMASKED: u32 = 1 << 2;

    // struct vfio_irq_set.flags.
    /// No data.
    VFIO_IRQ_SET_DATA_NONE: u32 = 1 << 0;
    /// One byte for each sub-index.
    VFIO_IRQ_SET_DATA_BOOL: u32 = 1 << 1;
    /// One eventfd for each sub-index.
    VFIO_IRQ_SET_DATA_EVENTFD: u32 = 1 << 2;
    /// Masks, or sets the eventfd that masks.
    VFIO_IRQ_SET_ACTION_MASK: u32 = 1 << 3;
    /// Unmasks, or sets the eventfd that unmasks.
    VFIO_IRQ_SET_ACTION_UNMASK: u32 = 1 << 4;
    /// Triggers, or sets the eventfd that the device signals.
    VFIO_IRQ_SET_ACTION_TRIGGER: u32 = 1 << 5;

    // struct vfio_iommu_type1_dma_unmap.flags.
    /// Unmaps everything.
    VFIO_DMA_UNMAP_FLAG_ALL: u32 = 1 << 1;

    // IRQ indexes of a PCI device.
    /// Legacy interrupt.
    VFIO_PCI_INTX_IRQ_INDEX: u32 = 0;
    /// MSI vectors.
    VFIO_PCI_MSI_IRQ_INDEX: u32 = 1;
    /// MSI-X vectors.
    VFIO_PCI_MSIX_IRQ_INDEX: u32 = 2;
    /// An error that the device cannot recover from.
    VFIO_PCI_ERR_IRQ_INDEX: u32 = 3;
    /// The host asks for the device back.
    VFIO_PCI_REQ_IRQ_INDEX: u32 = 4;
    /// Indexes of the driver's own start here.
    VFIO_PCI_NUM_IRQS: u32 = 5;

    // Regions of a PCI device.
    /// The ROM; the BARs come before it.
    VFIO_PCI_ROM_REGION_INDEX: u32 = 6;
    /// Config space.
    VFIO_PCI_CONFIG_REGION_INDEX: u32 = 7;
    /// Regions of the driver's own start here.
    VFIO_PCI_NUM_REGIONS: u32 = 9;
    /// Bits of the device file's offset below the region's index
    /// (`include/linux/vfio_pci_core.h`: no uAPI, but every VMM sees it).
    VFIO_PCI_OFFSET_SHIFT: u32 = 40;

    // Config space (include/uapi/linux/pci_regs.h).
    /// The command register, 16 bits.
    PCI_COMMAND: u32 = 4;
    /// In it: memory decode.
    PCI_COMMAND_MEMORY: u32 = 1 << 1;
    /// In the power management control register: the power state.
    PCI_PM_CTRL_STATE_MASK: u32 = 3;
    /// In the PCI Express device control register: function level reset.
    PCI_EXP_DEVCTL_BCR_FLR: u32 = 1 << 15;

    // eventfd(2).
    /// A read takes one from the counter.
    EFD_SEMAPHORE: u32 = 1 << 0;

    // Other headers.
    /// Bad address (`errno.h`).
    EFAULT: i64 = 14;
    /// The superblock of files without a name (`linux/magic.h`).
    ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;

    // System calls of x86_64.
    /// read(2).
    SYS_READ: i64 = 0;
    /// write(2).
    SYS_WRITE: i64 = 1;
    /// open(2).
    SYS_OPEN: i64 = 2;
    /// mmap(2).
    SYS_MMAP: i64 = 9;
    /// ioctl(2).
    SYS_IOCTL: i64 = 16;
    /// pwrite64(2).
    SYS_PWRITE64: i64 = 18;
    /// readv(2).
    SYS_READV: i64 = 19;
    /// writev(2).
    SYS_WRITEV: i64 = 20;
    /// sendfile(2).
    SYS_SENDFILE: i64 = 40;
    /// io_submit(2).
    SYS_IO_SUBMIT: i64 = 209;
    /// openat(2).
    SYS_OPENAT: i64 = 257;
    /// splice(2).
    SYS_SPLICE: i64 = 275;
    /// preadv(2).
    SYS_PREADV: i64 = 295;
    /// pwritev(2).
    SYS_PWRITEV: i64 = 296;
    /// preadv2(2).
    SYS_PREADV2: i64 = 327;
    /// pwritev2(2).
    SYS_PWRITEV2: i64 = 328;
    /// io_uring_enter(2).
    SYS_IO_URING_ENTER: i64 = 426;
    /// openat2(2).
    SYS_OPENAT2: i64 = 437;
}

/// Byte offsets of the members of `struct vfio_irq_set`, and its size before its data.
pub mod vfio_irq_set {
    /// `VFIO_IRQ_SET_*`.
    pub const FLAGS: usize = 4;
    /// The IRQ index.
    pub const INDEX: usize = 8;
    /// The first sub-index.
    pub const START: usize = 12;
    /// How many sub-indexes.
    pub const COUNT: usize = 16;
    /// The data begins here.
    pub const DATA: usize = 20;
}

/// Byte offsets of the members of `struct vfio_device_feature`.
pub mod vfio_device_feature {
    /// `VFIO_DEVICE_FEATURE_*`: the feature and what is done with it.
    pub const FLAGS: usize = 4;
    /// The feature's own struct begins here.
    pub const DATA: usize = 8;
}

/// Byte offsets of the members of `struct vfio_region_info`.
pub mod vfio_region_info {
    /// The region.
    pub const INDEX: usize = 8;
}
