//! The table against itself.

extern crate std;

use std::{collections::BTreeSet, vec, vec::Vec};

use proptest::prelude::*;
use zerocopy::IntoBytes as _;

use super::*;

const HEADER: usize = size_of::<Header>();

fn unique<T: Ord>(values: impl IntoIterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    values.into_iter().all(|value| seen.insert(value))
}

/// Words whose first half is the kind, so that a record in them is aligned as in the ring.
fn words(kind: u32, size: usize, filler: &[u64]) -> Vec<u64> {
    let mut words: Vec<u64> = filler.iter().copied().cycle().take(size / 8).collect();
    words.as_mut_bytes()[..4].copy_from_slice(&kind.to_ne_bytes());
    words
}

#[test]
fn kinds_have_their_own_number_and_name() {
    assert!(unique(KINDS.iter().map(|kind| kind.number)));
    assert!(unique(KINDS.iter().map(|kind| kind.name)));
}

#[test]
fn fields_cover_each_byte_once() {
    for kind in KINDS {
        let mut end = 0;
        for field in kind.fields {
            assert_eq!(field.offset, end, "{}.{}", kind.name, field.name);
            assert_ne!(field.size, 0, "{}.{}", kind.name, field.name);
            end += field.size;
        }
        assert_eq!(end, kind.size, "{}", kind.name);
        // The ring hands records out at multiples of 8.
        assert_eq!(kind.size % 8, 0, "{}", kind.name);
    }
}

#[test]
fn fields_have_their_own_name_and_a_meaning() {
    for kind in KINDS {
        assert!(
            unique(kind.fields.iter().map(|field| field.name)),
            "{}",
            kind.name
        );
        for field in kind.fields {
            assert!(!field.doc.is_empty(), "{}.{}", kind.name, field.name);
            let text = field.unit == Unit::Text;
            assert!(
                !text || field.length.is_some(),
                "{}.{}",
                kind.name,
                field.name
            );
        }
    }
}

#[test]
fn a_description_has_offset_sign_unit_and_values() {
    let field = |name| {
        let found = Signal::FIELDS.iter().find(|field| field.name == name);
        *found.unwrap()
    };
    assert_eq!(field("time_ns").unit, Unit::Nanoseconds);
    assert_eq!(field("comm").length, Some(16));
    // Of the nested target.
    assert_eq!(field("sub").offset, HEADER + 8 + 12);
    assert_eq!(field("role").values[3], (3, "wakeup"));
    assert_eq!(field("role").enumeration, "Role");
    assert!(!field("count").signed);
    let last = Exit::FIELDS.last().unwrap();
    assert_eq!((last.name, last.length), ("answer", Some(ANSWER_BYTES)));
    assert!(
        Read::FIELDS
            .iter()
            .any(|field| field.name == "result" && field.signed)
    );
}

#[test]
fn addresses_are_where_fields_have_them() {
    // The context, the target's device, and the device in whose call the thread is.
    let places = [HEADER, HEADER + 8, HEADER + 48];
    assert_eq!(Signal::ADDRESSES, places.map(Some));
    assert_eq!(Device::ADDRESSES, [Some(HEADER), None, None]);
}

#[test]
fn numbers_of_enumerations_come_back() {
    assert_eq!(Role::Unmask.wire().known(), Some(Role::Unmask));
    assert_eq!(
        Wire::<Role>::read_from_bytes(&99u32.to_ne_bytes())
            .unwrap()
            .known(),
        None
    );
    for (number, name) in Origin::NAMES {
        let origin = Origin::of_number(*number).unwrap();
        assert_eq!((origin.wire(), origin.name()), (Wire::of(*number), *name));
    }
}

#[test]
fn a_record_that_is_cut_off_anywhere_is_an_error() {
    for kind in KINDS {
        let words = words(kind.number, kind.size, &[7]);
        let bytes = words.as_bytes();
        for length in 0..kind.size {
            assert_eq!(
                parse(&bytes[..length]),
                Err(Truncated),
                "{} at {length}",
                kind.name
            );
        }
        assert!(parse(bytes).is_ok(), "{}", kind.name);
    }
}

#[test]
fn an_unknown_kind_is_a_value() {
    let words = words(4711, HEADER + 16, &[7]);
    let (header, record) = parse(words.as_bytes()).unwrap();
    assert_eq!((header.kind, header.time_ns), (4711, 7));
    let bytes = [7u64, 7];
    assert_eq!(
        record,
        RecordRef::Unknown {
            kind: 4711,
            bytes: bytes.as_bytes()
        }
    );
    assert_eq!(parse(&words.as_bytes()[..HEADER - 1]), Err(Truncated));
}

proptest! {
    #[test]
    fn every_kind_comes_back_byte_for_byte(
        filler in prop::collection::vec(any::<u64>(), 1..96),
        behind in 0usize..3,
    ) {
        for kind in KINDS {
            let words = words(kind.number, kind.size + behind * 8, &filler);
            let (header, record) = parse(words.as_bytes()).unwrap();
            let mut pieces = vec![header.as_bytes()];
            pieces.extend(record.pieces());
            prop_assert_eq!(pieces.concat(), &words.as_bytes()[..kind.size]);
            let known = !matches!(record, RecordRef::Unknown { .. });
            prop_assert!(known, "{}", kind.name);
        }
    }
}
