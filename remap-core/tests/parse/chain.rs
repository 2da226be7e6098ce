//! Capability chains: valid ones are read, invalid ones are refused with the reason.

use proptest::prelude::*;
use remap_common::uapi::{
    VFIO_PCI_OFFSET_SHIFT, VFIO_REGION_INFO_FLAG_CAPS as CAPS, VFIO_REGION_INFO_FLAG_MMAP as MMAP,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};
use remap_core::parse::capability::{ChainError, MAX_CAPABILITIES};
use remap_core::parse::irq::{self, Encoding, RemapIrq};
use remap_core::parse::region::{self, Area};

use crate::answer::Answer;

const READ_WRITE: u32 = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
const SIZE: u64 = 0x10000;

fn mappable() -> Answer {
    Answer::region(2, READ_WRITE | MMAP, SIZE)
}

fn refused(answer: &Answer) -> ChainError {
    region::parse(&answer.bytes).expect_err("an invalid answer was accepted")
}

#[test]
fn a_region_without_capabilities_is_mappable_as_a_whole() {
    let region = region::parse(&mappable().bytes).unwrap();
    assert_eq!(
        (region.index, region.flags, region.size),
        (2, READ_WRITE | MMAP, SIZE)
    );
    assert_eq!(region.offset, 2 << VFIO_PCI_OFFSET_SHIFT);
    assert_eq!(
        *region.areas,
        [Area {
            offset: 0,
            size: SIZE
        }]
    );
    assert!(!region.stale_sparse);
}

#[test]
fn without_mmap_nothing_is_mappable() {
    let region = region::parse(&Answer::region(2, READ_WRITE, SIZE).bytes).unwrap();
    assert_eq!(*region.areas, []);
    assert!(!region.stale_sparse);
}

#[test]
fn a_stale_sparse_capability_is_ignored() {
    let region = region::parse(
        &Answer::region(2, READ_WRITE, SIZE)
            .sparse(&[(0, 0x1000)])
            .bytes,
    )
    .unwrap();
    assert_eq!(*region.areas, []);
    assert!(region.stale_sparse);
}

#[test]
fn sparse_areas_are_sorted_and_a_type_is_read() {
    let answer = mappable()
        .kind(2, 0x8000_1234, 7)
        .sparse(&[(0x4000, 0x2000), (0, 0x1000)]);
    let region = region::parse(&answer.bytes).unwrap();
    let areas = [
        Area {
            offset: 0,
            size: 0x1000,
        },
        Area {
            offset: 0x4000,
            size: 0x2000,
        },
    ];
    assert_eq!(*region.areas, areas);
    assert_eq!(region.kind, Some((0x8000_1234, 7)));
}

#[test]
fn a_sparse_capability_without_areas_forbids_the_whole_region() {
    let region = region::parse(&mappable().sparse(&[]).bytes).unwrap();
    assert_eq!((region.areas.len(), region.stale_sparse), (0, false));
}

#[test]
fn an_empty_region_has_no_areas() {
    let region = region::parse(&Answer::region(1, MMAP, 0).bytes).unwrap();
    assert_eq!(*region.areas, []);
}

#[test]
fn a_region_smaller_than_a_page_is_mappable() {
    let answer = Answer::region(0, READ_WRITE | MMAP, 0x100).sparse(&[(0, 0x100)]);
    assert_eq!(
        *region::parse(&answer.bytes).unwrap().areas,
        [Area {
            offset: 0,
            size: 0x100
        }]
    );
}

#[test]
fn an_unknown_capability_is_passed_over() {
    let answer = mappable()
        .cap(0x7777, 9, &[1, 2, 3, 4])
        .sparse(&[(0, 0x1000)]);
    let region = region::parse(&answer.bytes).unwrap();
    assert_eq!(
        *region.areas,
        [Area {
            offset: 0,
            size: 0x1000
        }]
    );
}

#[test]
fn capabilities_may_stand_in_any_order() {
    let answer = mappable().kind(2, 5, 6).sparse(&[(0, 0x1000)]);
    let (first, second) = (32, answer.last());
    let answer = answer
        .put(12, second.try_into().unwrap())
        .put(second + 4, first)
        .put(32 + 4, 0);
    let region = region::parse(&answer.bytes).unwrap();
    assert_eq!(region.kind, Some((5, 6)));
    assert_eq!(region.areas.len(), 1);
}

#[test]
fn the_first_of_two_calls_reports_the_size_that_it_needs() {
    let answer = Answer::region(2, READ_WRITE | MMAP | CAPS, SIZE).put(0, 80);
    assert_eq!(refused(&answer), ChainError::NotGiven { argsz: 80 });
}

#[test]
fn loops_are_refused() {
    let answer = mappable().kind(2, 5, 6);
    let to_itself = answer.clone().put(32 + 4, 32);
    assert_eq!(refused(&to_itself), ChainError::Loop { offset: 32 });
    let to_the_first = answer.sparse(&[(0, 0x1000)]);
    let at = to_the_first.last();
    assert_eq!(
        refused(&to_the_first.put(at + 4, 32)),
        ChainError::Loop { offset: 32 }
    );
}

#[test]
fn pointers_outside_are_refused() {
    let answer = mappable().kind(2, 5, 6);
    for offset in [4, 28, 48, 4096, u32::MAX - 3] {
        let wrong = answer.clone().put(12, offset);
        assert_eq!(
            refused(&wrong),
            ChainError::Outside {
                offset: offset.into(),
                argsz: 48
            }
        );
        let wrong = answer.clone().put(32 + 4, offset);
        assert_eq!(
            refused(&wrong),
            ChainError::Outside {
                offset: offset.into(),
                argsz: 48
            }
        );
    }
}

#[test]
fn unaligned_pointers_are_refused() {
    let answer = mappable().kind(2, 5, 6).put(12, 33);
    assert_eq!(refused(&answer), ChainError::Unaligned { offset: 33 });
}

#[test]
fn a_capability_that_claims_more_than_there_is_is_refused() {
    let answer = mappable().sparse_of(u32::MAX, &[(0, 0x1000)]);
    assert_eq!(
        refused(&answer),
        ChainError::Outside {
            offset: 32,
            argsz: 64
        }
    );
}

#[test]
fn too_many_capabilities_are_refused() {
    let full = (0..MAX_CAPABILITIES).fold(mappable(), |answer, _| answer.cap(0x7777, 1, &[]));
    assert!(region::parse(&full.bytes).is_ok());
    assert_eq!(refused(&full.cap(0x7777, 1, &[])), ChainError::TooMany);
}

#[test]
fn a_repeated_or_newer_capability_is_refused() {
    let twice = mappable().sparse(&[(0, 0x1000)]).sparse(&[(0, 0x2000)]);
    assert_eq!(refused(&twice), ChainError::Repeated { id: 1 });
    let newer = mappable().cap(1, 2, &[0; 8]);
    assert_eq!(refused(&newer), ChainError::Version { id: 1, version: 2 });
}

#[test]
fn impossible_areas_are_refused() {
    let with = |areas: &[(u64, u64)]| refused(&mappable().sparse(areas));
    assert_eq!(
        with(&[(0x1000, 0)]),
        ChainError::AreaEmpty { offset: 0x1000 }
    );
    let unaligned = |offset, size| ChainError::AreaUnaligned { offset, size };
    assert_eq!(with(&[(0x800, 0x1000)]), unaligned(0x800, 0x1000));
    assert_eq!(with(&[(0x1000, 0x800)]), unaligned(0x1000, 0x800));
    let outside = |offset, size| ChainError::AreaOutside {
        offset,
        size,
        region: SIZE,
    };
    assert_eq!(with(&[(0xf000, 0x2000)]), outside(0xf000, 0x2000));
    assert_eq!(
        with(&[(u64::MAX - 0xfff, 0x2000)]),
        outside(u64::MAX - 0xfff, 0x2000)
    );
    let overlap = ChainError::AreaOverlap {
        first: 0,
        second: 0x1000,
    };
    assert_eq!(with(&[(0x1000, 0x1000), (0, 0x2000)]), overlap);
}

#[test]
fn a_cut_answer_is_truncated_only_where_it_matters() {
    let answer = mappable()
        .kind(2, 5, 6)
        .sparse(&[(0, 0x1000), (0x2000, 0x1000)]);
    for length in 0..answer.bytes.len() {
        let cut = region::parse(&answer.bytes[..length]);
        assert!(
            matches!(cut, Err(ChainError::Truncated { .. })),
            "{length}: {cut:?}"
        );
    }
    // A buffer that is larger than the chain, and captured only in part.
    let roomy = answer.clone().put(0, 4096);
    assert_eq!(region::parse(&roomy.bytes), region::parse(&answer.bytes));
}

#[test]
fn mainlines_irqs_are_no_remap_irqs() {
    let answer = Answer::irq(2, 9, 65);
    let irq = irq::parse(&answer.bytes[..16]).unwrap();
    assert_eq!((irq.index, irq.flags, irq.count), (2, 9, 65));
    assert_eq!((irq.kind, irq.remap), (None, None));
}

#[test]
fn a_remap_irq_has_its_type_and_subtype() {
    let remap = |subtype| {
        let answer = Answer::irq(5, 1, 1).kind(3, 1, subtype).regions(64, 0x201);
        irq::parse(&answer.bytes).unwrap().remap
    };
    let with = |encoding| {
        Some(RemapIrq {
            encoding,
            base: 64,
            mask: Some(0x201),
        })
    };
    assert_eq!(remap(0), with(Encoding::Bitmap));
    assert_eq!(remap(1), None, "GFX and NESTED are not ours");
    assert_eq!(remap(2), with(Encoding::Vectors));
    let other = Answer::irq(5, 1, 1).kind(3, 2, 0).regions(0, 1);
    assert_eq!(irq::parse(&other.bytes).unwrap().remap, None);
}

#[test]
fn without_the_regions_capability_the_mask_is_unknown() {
    let irq = irq::parse(&Answer::irq(5, 1, 1).kind(3, 1, 0).bytes).unwrap();
    assert_eq!(
        irq.remap,
        Some(RemapIrq {
            encoding: Encoding::Bitmap,
            base: 0,
            mask: None
        })
    );
}

#[test]
fn a_caller_with_mainlines_struct_gets_no_chain() {
    let answer = Answer::irq(5, 1, 1).kind(3, 1, 0);
    let argsz = answer.bytes.len().try_into().unwrap();
    assert_eq!(
        irq::parse(&answer.bytes[..16]),
        Err(ChainError::NotGiven { argsz })
    );
}

#[test]
fn a_mask_beyond_the_last_region_is_refused() {
    let irq =
        |base, mask| irq::parse(&Answer::irq(5, 1, 1).kind(3, 1, 0).regions(base, mask).bytes);
    assert!(irq(u32::MAX - 1, 2).is_ok());
    let (base, mask) = (u32::MAX - 1, 4);
    assert_eq!(
        irq(base, mask),
        Err(ChainError::RegionBeyond { base, mask })
    );
}

#[test]
fn an_answer_without_room_for_the_chain_has_its_fixed_part() {
    let answer = |flags, size| Answer::region(2, flags, size).put(0, 80);
    let whole = |size| vec![Area { offset: 0, size }];
    for (flags, size, areas) in [
        (READ_WRITE | MMAP | CAPS, SIZE, whole(SIZE)),
        (READ_WRITE | CAPS, SIZE, vec![]),
        (MMAP | CAPS, 0, vec![]),
    ] {
        let region = region::parse_without_chain(&answer(flags, size).bytes).unwrap();
        assert_eq!((region.index, region.flags, region.size), (2, flags, size));
        assert_eq!(region.offset, 2 << VFIO_PCI_OFFSET_SHIFT);
        assert_eq!(region.areas.known, areas.is_empty());
        assert_eq!(*region.areas, areas);
    }
    let cut = region::parse_without_chain(&answer(CAPS, SIZE).bytes[..31]);
    let (needed, have) = (32, 31);
    assert_eq!(cut, Err(ChainError::Truncated { needed, have }));
}

#[test]
fn each_area_is_checked_where_it_ends() {
    let areas = |areas: &[(u64, u64)]| region::parse(&mappable().sparse(areas).bytes);
    assert!(areas(&[(0, SIZE)]).is_ok());
    assert!(areas(&[(0, 0x1000), (0x1000, 0x1000)]).is_ok());
    let odd = Answer::region(0, MMAP, 0x1800);
    let odd = |areas: &[(u64, u64)]| region::parse(&odd.clone().sparse(areas).bytes);
    assert!(odd(&[(0x1000, 0x800)]).is_ok());
    assert!(odd(&[(0, 0x800)]).is_err());
}

#[test]
fn a_cut_answer_says_how_many_bytes_are_needed() {
    let answer = mappable().kind(2, 5, 6);
    let (needed, have) = (48, 47);
    assert_eq!(
        region::parse(&answer.bytes[..47]),
        Err(ChainError::Truncated { needed, have })
    );
}

#[test]
fn a_capability_ends_at_the_end_of_the_answer() {
    let answer = mappable().cap(2, 1, &[0; 4]);
    let (offset, argsz) = (32, 44);
    assert_eq!(refused(&answer), ChainError::Outside { offset, argsz });
    let answer = Answer::irq(5, 1, 1).kind(3, 1, 0).cap(0x5242, 1, &[0; 8]);
    let offset = answer.last() as u64;
    let argsz = u32::try_from(answer.bytes.len()).unwrap();
    assert_eq!(
        irq::parse(&answer.bytes),
        Err(ChainError::Outside { offset, argsz })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let _ = region::parse(&bytes);
        let _ = irq::parse(&bytes);
    }

    #[test]
    fn no_damage_makes_the_parsers_panic_or_lie(
        words in proptest::collection::vec((0_usize..30, 0_u32..140), 0..6),
        length in 0_usize..140,
    ) {
        let good = mappable().kind(2, 5, 6).sparse(&[(0, 0x1000), (0x2000, 0x1000)]);
        let mut bad = words.into_iter().fold(good, |answer, (word, value)| {
            let at = (word * 4).min(answer.bytes.len() - 4);
            answer.put(at, value)
        });
        bad.bytes.truncate(length);
        if let Ok(region) = region::parse(&bad.bytes) {
            let mut end = 0;
            for area in region.areas.iter() {
                prop_assert!(area.size > 0 && area.offset >= end && area.offset % 0x1000 == 0);
                end = area.offset + area.size;
                prop_assert!(end <= region.size);
            }
        }
        let _ = irq::parse(&bad.bytes);
    }

    #[test]
    fn good_areas_are_read_back(gaps in proptest::collection::vec((0_u64..9, 1_u64..9), 0..20)) {
        let mut end = 0;
        let areas: Vec<_> = gaps.into_iter().map(|(gap, size)| {
            let offset = end + gap * 0x1000;
            end = offset + size * 0x1000;
            (offset, size * 0x1000)
        }).collect();
        let region = Answer::region(0, MMAP, end.max(1)).sparse(&areas);
        let parsed = region::parse(&region.bytes).unwrap();
        let read: Vec<_> = parsed.areas.iter().map(|area| (area.offset, area.size)).collect();
        prop_assert_eq!(read, areas);
    }
}
