//! `remap_common::uapi` against the system's headers, vfio-bindings and libc.

use std::collections::BTreeMap;
use std::mem::offset_of;

use remap_common::uapi::{
    self, NUMBERS, vfio_device_feature as feature, vfio_irq_set as irq_set,
    vfio_region_info as region_info,
};
use vfio_bindings::bindings::vfio::{self, vfio_device_feature, vfio_irq_set, vfio_region_info};

use crate::c;

const HEADERS: &str = "#include <linux/vfio.h>\n#include <linux/pci_regs.h>\n#include <linux/magic.h>\n#include <errno.h>";

/// What neither the bindings nor every system's headers have: newer than Debian 12's (6.1), or of
/// a header that is not for user space. Where a header has one, it is compared all the same.
const ELSEWHERE: [&str; 8] = [
    "VFIO_DEVICE_BIND_IOMMUFD",
    "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
    "VFIO_DEVICE_DETACH_IOMMUFD_PT",
    "VFIO_MIG_GET_PRECOPY_INFO",
    "IOMMU_IOAS_ALLOC",
    "IOMMU_IOAS_MAP",
    "IOMMU_IOAS_UNMAP",
    "VFIO_PCI_OFFSET_SHIFT",
];

/// The numbers as vfio-bindings has them.
fn bindings() -> BTreeMap<&'static str, u64> {
    macro_rules! named {
        ($($name:ident)*) => { vec![$((stringify!($name), u64::from(vfio::$name))),*] };
    }
    macro_rules! states {
        ($($name:ident = $bound:ident)*) => { vec![$((stringify!($name), u64::from(vfio::$bound))),*] };
    }
    let mut all = named! {
        VFIO_DEVICE_FEATURE_MASK VFIO_DEVICE_FEATURE_GET VFIO_DEVICE_FEATURE_SET
        VFIO_DEVICE_FEATURE_PROBE VFIO_DEVICE_FEATURE_MIGRATION VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE
        VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP
        VFIO_DEVICE_FEATURE_LOW_POWER_EXIT VFIO_DEVICE_FEATURE_DMA_LOGGING_START
        VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT
        VFIO_DEVICE_FEATURE_MIG_DATA_SIZE
        VFIO_MIGRATION_STOP_COPY VFIO_MIGRATION_P2P VFIO_MIGRATION_PRE_COPY
        VFIO_DEVICE_STATE_V1_RUNNING VFIO_DEVICE_STATE_V1_SAVING VFIO_DEVICE_STATE_V1_RESUMING
        VFIO_REGION_INFO_FLAG_READ VFIO_REGION_INFO_FLAG_WRITE VFIO_REGION_INFO_FLAG_MMAP
        VFIO_REGION_INFO_FLAG_CAPS VFIO_IRQ_INFO_EVENTFD VFIO_IRQ_INFO_AUTOMASKED
        VFIO_IRQ_SET_DATA_NONE VFIO_IRQ_SET_DATA_BOOL VFIO_IRQ_SET_DATA_EVENTFD
        VFIO_IRQ_SET_ACTION_MASK VFIO_IRQ_SET_ACTION_UNMASK VFIO_IRQ_SET_ACTION_TRIGGER
        VFIO_DMA_UNMAP_FLAG_ALL
        VFIO_PCI_INTX_IRQ_INDEX VFIO_PCI_MSI_IRQ_INDEX VFIO_PCI_MSIX_IRQ_INDEX
        VFIO_PCI_ERR_IRQ_INDEX VFIO_PCI_REQ_IRQ_INDEX VFIO_PCI_NUM_IRQS
        VFIO_PCI_ROM_REGION_INDEX VFIO_PCI_CONFIG_REGION_INDEX VFIO_PCI_NUM_REGIONS
    };
    all.extend(states! {
        VFIO_DEVICE_STATE_ERROR = vfio_device_mig_state_VFIO_DEVICE_STATE_ERROR
        VFIO_DEVICE_STATE_STOP = vfio_device_mig_state_VFIO_DEVICE_STATE_STOP
        VFIO_DEVICE_STATE_RUNNING = vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING
        VFIO_DEVICE_STATE_STOP_COPY = vfio_device_mig_state_VFIO_DEVICE_STATE_STOP_COPY
        VFIO_DEVICE_STATE_RESUMING = vfio_device_mig_state_VFIO_DEVICE_STATE_RESUMING
        VFIO_DEVICE_STATE_RUNNING_P2P = vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING_P2P
        VFIO_DEVICE_STATE_PRE_COPY = vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY
        VFIO_DEVICE_STATE_PRE_COPY_P2P = vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY_P2P
    });
    all.into_iter().collect()
}

/// The numbers as libc has them.
fn libc_numbers() -> BTreeMap<&'static str, u64> {
    macro_rules! calls {
        ($($name:ident = $bound:ident)*) => {
            vec![$((stringify!($name), u64::try_from(libc::$bound).unwrap())),*]
        };
    }
    let all = calls! {
        EFD_SEMAPHORE = EFD_SEMAPHORE
        SYS_READ = SYS_read SYS_WRITE = SYS_write SYS_OPEN = SYS_open SYS_MMAP = SYS_mmap
        SYS_IOCTL = SYS_ioctl SYS_PWRITE64 = SYS_pwrite64 SYS_READV = SYS_readv
        SYS_WRITEV = SYS_writev SYS_SENDFILE = SYS_sendfile SYS_IO_SUBMIT = SYS_io_submit
        SYS_OPENAT = SYS_openat SYS_SPLICE = SYS_splice SYS_PREADV = SYS_preadv
        SYS_PWRITEV = SYS_pwritev SYS_PREADV2 = SYS_preadv2 SYS_PWRITEV2 = SYS_pwritev2
        SYS_IO_URING_ENTER = SYS_io_uring_enter SYS_OPENAT2 = SYS_openat2
    };
    all.into_iter().collect()
}

#[test]
fn every_number_is_the_kernels() {
    let names = NUMBERS.iter().map(|(name, _)| *name);
    let headers = c::values(HEADERS, names, true);
    let (bindings, libc) = (bindings(), libc_numbers());
    for (name, value) in NUMBERS {
        let sources = [headers.get(*name), bindings.get(name), libc.get(name)];
        let mut known = sources.into_iter().flatten().peekable();
        assert!(
            known.peek().is_some() || ELSEWHERE.contains(name),
            "nothing to compare {name} with"
        );
        assert!(known.all(|known| known == value), "{name} is {value:#x}");
    }
}

/// iommufd shares VFIO's type, and its requests begin at 0x80 (`IOMMUFD_CMD_BASE`).
#[test]
fn requests_of_iommufd_follow_the_destroy_command() {
    let of = |n: u32| (vfio::VFIO_TYPE as u32) << 8 | (0x80 + n);
    assert_eq!(uapi::IOMMU_IOAS_ALLOC, of(1));
    assert_eq!(uapi::IOMMU_IOAS_MAP, of(5));
    assert_eq!(uapi::IOMMU_IOAS_UNMAP, of(6));
}

#[test]
fn members_are_where_the_kernel_has_them() {
    assert_eq!(irq_set::FLAGS, offset_of!(vfio_irq_set, flags));
    assert_eq!(irq_set::INDEX, offset_of!(vfio_irq_set, index));
    assert_eq!(irq_set::START, offset_of!(vfio_irq_set, start));
    assert_eq!(irq_set::COUNT, offset_of!(vfio_irq_set, count));
    assert_eq!(irq_set::DATA, size_of::<vfio_irq_set>());
    assert_eq!(feature::FLAGS, offset_of!(vfio_device_feature, flags));
    assert_eq!(feature::DATA, size_of::<vfio_device_feature>());
    assert_eq!(region_info::INDEX, offset_of!(vfio_region_info, index));
}
