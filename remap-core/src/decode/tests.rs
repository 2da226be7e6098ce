//! What bytes become.

use proptest::prelude::*;
use zerocopy::{Immutable, IntoBytes};

use remap_common::record::{ANSWER_BYTES, ARGUMENT_BYTES, Header, KINDS, Record};
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_PROBE,
    VFIO_DEVICE_FEATURE_SET,
};

use super::*;
use crate::correlate::tests::golden;
use crate::event::{Answer, Call, DeviceState, Exit, IrqAction, IrqData, MigrationData};

/// A record in words, aligned as in the ring: the header, and what follows it.
pub(crate) fn words(header: Header, pieces: &[&[u8]]) -> Vec<u64> {
    let bytes = [header.as_bytes(), &pieces.concat()].concat();
    let words = bytes
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
    words.collect()
}

fn record(kind: u32, pieces: &[&[u8]]) -> Vec<u64> {
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"qemu");
    let header = Header {
        kind,
        cpu: 3,
        time_ns: 77,
        pid: 10,
        tid: 11,
        comm,
    };
    words(header, pieces)
}

fn decoded<T: Record + IntoBytes + Immutable>(raw: &T, trail: &[u8]) -> Event {
    decode(record(T::KIND, &[raw.as_bytes(), trail]).as_bytes()).unwrap()
}

fn enter(request: u32, words: &[u32]) -> Event {
    let mut argument = [0; ARGUMENT_BYTES];
    for (n, word) in words.iter().enumerate() {
        argument[n * 4..n * 4 + 4].copy_from_slice(&word.to_ne_bytes());
    }
    let raw = record::Enter {
        device: 5,
        request,
        argument_len: u32::try_from(words.len() * 4).unwrap(),
        argument,
    };
    decoded(&raw, &[])
}

#[test]
fn the_header_names_time_cpu_and_task() {
    let event = enter(uapi::VFIO_DEVICE_RESET, &[]);
    assert_eq!((event.time_ns, event.cpu), (77, 3));
    assert_eq!((event.task.pid, event.task.tid), (10, 11));
    assert_eq!(event.task.comm, "qemu");
    assert_eq!(
        event.body,
        Body::Enter {
            device: DeviceKey(5),
            call: Call::Reset
        }
    );
}

#[test]
fn set_irqs_names_its_eventfds() {
    let flags = uapi::VFIO_IRQ_SET_DATA_EVENTFD | uapi::VFIO_IRQ_SET_ACTION_UNMASK;
    let event = enter(
        uapi::VFIO_DEVICE_SET_IRQS,
        &[28, flags, 5, 2, 2, 9, u32::MAX],
    );
    let Body::Enter { call, .. } = event.body else {
        panic!("{event:?}")
    };
    let expected = Call::SetIrqs {
        index: 5,
        start: 2,
        count: 2,
        action: IrqAction::Unmask,
        data: IrqData::Eventfd(vec![9, -1]),
    };
    assert_eq!(call, expected);
}

#[test]
fn only_a_set_of_the_state_names_a_state() {
    let state = VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
    let of = |flags: u32| match enter(uapi::VFIO_DEVICE_FEATURE, &[16, flags, 6, 0]).body {
        Body::Enter {
            call: Call::Feature { data, .. },
            ..
        } => data.state,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        of(VFIO_DEVICE_FEATURE_SET | state),
        Some(DeviceState::PreCopy)
    );
    assert_eq!(of(VFIO_DEVICE_FEATURE_GET | state), None);
    assert_eq!(
        of(VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE | state),
        None
    );
}

#[test]
fn unreadable_arguments_are_a_value() {
    let event = enter(uapi::VFIO_DEVICE_SET_IRQS, &[]);
    let call = Call::Unreadable {
        request: uapi::VFIO_DEVICE_SET_IRQS,
    };
    assert_eq!(
        event.body,
        Body::Enter {
            device: DeviceKey(5),
            call
        }
    );
}

#[test]
fn an_unknown_kind_is_an_event_and_a_short_record_an_error() {
    let raw = record::Close {
        device: 1,
        dying: Tristate::No.wire(),
        reserved: 0,
    };
    let unknown = record(99, &[raw.as_bytes()]);
    let event = decode(unknown.as_bytes()).unwrap();
    assert_eq!((event.time_ns, event.task.tid), (77, 11));
    assert_eq!(event.body, Body::Unknown { kind: 99 });
    let close = record(record::Close::KIND, &[raw.as_bytes()]);
    let bytes = close.as_bytes();
    assert_eq!(decode(&bytes[..bytes.len() - 8]), Err(Truncated));
    let dying = Some(false);
    let device = DeviceKey(1);
    assert_eq!(decoded(&raw, &[]).body, Body::Close { device, dying });
}

#[test]
fn a_record_with_an_unknown_number_is_an_event() {
    let target = [7u64, 0, 99];
    let release = record(record::Release::KIND, &[5u64.as_bytes(), target.as_bytes()]);
    let event = decode(release.as_bytes()).unwrap();
    let kind = record::Release::KIND;
    assert_eq!(event.body, Body::Unknown { kind });
}

#[test]
fn the_lowest_result_is_an_errno() {
    let raw = record::Data {
        device: 0,
        file: 1,
        begin_ns: 70,
        requested: 8,
        result: i64::MIN,
        write: 0,
        reserved: 0,
    };
    let Body::Data(MigrationData { result, device, .. }) = decoded(&raw, &[]).body else {
        panic!("{raw:?}");
    };
    assert_eq!((result, device), (Err(Errno(i32::MAX)), None));
}

#[test]
fn an_answer_without_room_for_the_chain_still_describes_the_region() {
    let exit = |flags: u32| {
        let raw = record::Exit {
            device: 5,
            begin_ns: 70,
            result: 0,
            request: uapi::VFIO_DEVICE_GET_REGION_INFO,
            argument_len: 32,
            answer_len: 32,
            answer_unreadable: 0,
            argument: [0; ARGUMENT_BYTES],
        };
        let mut answer = [0; ANSWER_BYTES];
        // struct vfio_region_info: argsz, flags, index, cap_offset, size, offset.
        for (n, word) in [96, flags, 2, 0, 0x8000, 0, 0, 2 << 8]
            .into_iter()
            .enumerate()
        {
            let bytes: [u8; 4] = u32::to_ne_bytes(word);
            answer[n * 4..n * 4 + 4].copy_from_slice(&bytes);
        }
        match decoded(&raw, &answer).body {
            Body::Exit(Exit {
                answer: Answer::Region(region),
                ..
            }) => region,
            other => panic!("{other:?}"),
        }
    };
    let (rw, mmap, caps) = (3, 4, 8);
    let sparse = exit(rw | mmap | caps);
    assert_eq!(
        (sparse.index, sparse.size, sparse.offset),
        (2, 0x8000, 2 << uapi::VFIO_PCI_OFFSET_SHIFT)
    );
    assert!(!sparse.areas.known);
    let trapped = exit(rw | caps);
    assert!(trapped.areas.known && trapped.areas.is_empty());
    let plain = exit(rw | mmap);
    assert!(plain.areas.known && plain.areas.len() == 1);
}

proptest! {
    #[test]
    fn arbitrary_bytes_of_every_kind_are_an_event(words in prop::collection::vec(any::<u64>(), 1..96)) {
        for kind in KINDS {
            let body: Vec<u64> = words.iter().copied().cycle().take(kind.size / 8).collect();
            let bytes = record(kind.number, &[body.as_bytes()]);
            let event = decode(bytes.as_bytes()).unwrap();
            prop_assert_eq!((event.time_ns, event.task.pid), (77, 10));
        }
    }
}

/// What each kind becomes if all its words are the same small number, or all bytes differ.
#[test]
fn words_of_every_kind() {
    let differ: Vec<u8> = (1..=255).cycle().take(4096).collect();
    let words = [0, 1, 2, 3, 4, 8, 64, u32::MAX].map(|word| word.to_ne_bytes().repeat(1024));
    for kind in KINDS {
        let lines = words.iter().chain([&differ]).map(|bytes| {
            let raw = record(kind.number, &[&bytes[..kind.size]]);
            format!("{:?}\n", decode(raw.as_bytes()).map(|event| event.body))
        });
        golden::compare("decode/expected.txt", &lines.collect::<String>());
    }
}

#[test]
fn a_zap_of_one_region_ends_where_the_next_one_begins() {
    let region = 1 << uapi::VFIO_PCI_OFFSET_SHIFT;
    let zap = |offset, size| {
        let raw = record::Zap {
            device: 5,
            offset,
            size,
            cause: record::Cause::Unknown.wire(),
            detail: 0,
            value: 0,
            value_known: 0,
        };
        match decoded(&raw, &[]).body {
            Body::Zap(step) => step.regions,
            body => panic!("{body:?}"),
        }
    };
    assert_eq!(zap(region, region), (1, 1));
    assert_eq!(zap(region, region + 1), (1, 2));
    assert_eq!(zap(region, 0), (1, u32::MAX));
}

#[test]
fn a_name_that_is_no_text_is_marked() {
    let mut words = record(record::Close::KIND, &[&[0; 16]]);
    words.as_mut_bytes()[24..40].copy_from_slice(b"a\xff\x1b[2J\0rubbishxx");
    let event = decode(words.as_bytes()).unwrap();
    assert_eq!(event.task.comm, "a\\xff\x1b[2J");
}

#[test]
fn any_result_is_decoded() {
    assert_eq!(result(0), Ok(0));
    assert_eq!(result(-22), Err(Errno::EINVAL));
    assert_eq!(result(i64::MIN), Err(Errno(i32::MAX)));
}
