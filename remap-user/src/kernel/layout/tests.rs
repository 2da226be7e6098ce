//! The table, measured on a kernel that is built by hand.

use std::sync::Arc;

use remap_common::layout::ABSENT;
use zerocopy::IntoBytes as _;

use super::*;
use crate::kernel::{Symbols, btf::tests::kernel};

fn measured() -> Measured {
    measure(&Kernel {
        core: Arc::new(Btf::parse(kernel(), None).unwrap()),
        vfio: None,
        drivers: Vec::new(),
        symbols: Symbols::default(),
    })
}

#[test]
fn a_row_sets_its_own_field() {
    let mut layout = KernelLayout::UNKNOWN;
    for (value, member) in (0..).zip(MEMBERS) {
        (member.set)(&mut layout, value);
    }
    let words = layout.as_bytes().chunks_exact(size_of::<u32>());
    let words: Vec<u32> = words
        .map(|word| u32::from_ne_bytes(word.try_into().unwrap()))
        .collect();
    let count = u32::try_from(MEMBERS.len()).unwrap();
    assert_eq!(words, (0..count).collect::<Vec<u32>>());
}

#[test]
fn what_btf_describes_is_measured() {
    let layout = measured().layout;
    assert_eq!((layout.eventfd_kref, layout.eventfd_count), (0, 8));
    assert_eq!(layout.iter_ubuf, 6);
    assert_eq!(layout.signal_has_addend, 0, "it has two parameters");
    assert_eq!(layout.fault_fills_vma, 1, "no handler has an order");
}

#[test]
fn what_is_missing_is_reported_with_its_impact() {
    let Measured {
        layout,
        missing,
        fatal,
        ..
    } = measured();
    assert_eq!(layout.eventfd_flags, ABSENT);
    let sentences: Vec<&str> = missing.iter().map(|one| one.sentence.as_str()).collect();
    let flags =
        "no eventfd_ctx.flags in BTF: what the kernel itself takes from an eventfd is unknown";
    assert!(sentences.contains(&flags), "{missing:?}");
    let older = "no vm_fault.address in BTF: faults on mapped regions are not seen";
    assert!(sentences.contains(&older), "{missing:?}");
    assert!(sentences.contains(&address::HIDDEN));
    let device = missing
        .iter()
        .find(|one| one.sentence.contains("vfio_device.dev "));
    assert_eq!(device.map(|one| one.types), Some(Types::Vfio));
    assert_eq!(fatal, ["file.private_data"]);
}

#[test]
fn nothing_is_lost_where_a_kernel_works_another_way() {
    let missing = measured().missing;
    // No inodes of devices, no device files, no vfio_pci_core, no `ITER_UBUF` that is needed.
    for absent in [
        "inode.i_mapping",
        "vfio_device_file",
        "vfio_pci_core_device",
        "vma_list",
    ] {
        let reported = missing.iter().find(|one| one.sentence.contains(absent));
        assert_eq!(reported, None);
    }
}
