//! What a trigger of a remap IRQ names.

use remap_core::parse::irq::{Encoding, RemapIrq};

fn remap(encoding: Encoding, base: u32, mask: Option<u64>) -> RemapIrq {
    RemapIrq {
        encoding,
        base,
        mask,
    }
}

#[test]
fn a_bitmap_names_a_region_for_each_bit() {
    let irq = remap(Encoding::Bitmap, 64, Some(0x201));
    assert_eq!(irq.regions(0, 0x201), [64, 73]);
    assert!(irq.regions(0, 0).is_empty());
    assert_eq!(irq.regions(0, 1 << 63), [127]);
    assert_eq!(irq.named().collect::<Vec<_>>(), [64, 73]);
}

#[test]
fn a_vector_names_the_region_of_its_sub_index_whatever_the_count() {
    let irq = remap(Encoding::Vectors, 64, Some(0x201));
    assert_eq!(irq.regions(9, 1), [73]);
    assert_eq!(irq.regions(9, 77), [73]);
}

#[test]
fn only_what_the_mask_holds_may_be_named() {
    let irq = remap(Encoding::Bitmap, 64, Some(0x201));
    let may: Vec<u32> = (0..200).filter(|region| irq.may_name(*region)).collect();
    assert_eq!(may, [64, 73]);
    let silent = remap(Encoding::Bitmap, 64, None);
    let may: Vec<u32> = (0..200).filter(|region| silent.may_name(*region)).collect();
    assert_eq!(may, (64..128).collect::<Vec<_>>());
}

#[test]
fn regions_beyond_32_bits_are_no_regions() {
    let irq = remap(Encoding::Bitmap, u32::MAX, None);
    assert_eq!(irq.regions(0, 3), [u32::MAX]);
    assert!(
        remap(Encoding::Vectors, u32::MAX, None)
            .regions(1, 1)
            .is_empty()
    );
}
