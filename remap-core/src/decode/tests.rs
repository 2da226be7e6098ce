//! What bytes become.

use proptest::prelude::*;
use zerocopy::IntoBytes;

use remap_common::record::ARGUMENT_BYTES;
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_PROBE,
    VFIO_DEVICE_FEATURE_SET,
};

use super::*;
use crate::event::{Call, DeviceState, IrqAction, IrqData};

fn header(kind: u32) -> Header {
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"qemu");
    Header {
        kind,
        cpu: 3,
        time_ns: 77,
        pid: 10,
        tid: 11,
        comm,
    }
}

fn enter(request: u32, words: &[u32]) -> Event {
    let mut argument = [0; ARGUMENT_BYTES];
    for (n, word) in words.iter().enumerate() {
        argument[n * 4..n * 4 + 4].copy_from_slice(&word.to_ne_bytes());
    }
    let raw = record::Enter {
        header: header(kind::ENTER),
        device: 5,
        request,
        argument_len: u32::try_from(words.len() * 4).unwrap(),
        argument,
    };
    decode(raw.as_bytes()).unwrap()
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
        } => data.state(),
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
        header: header(99),
        device: 1,
        dying: 0,
        reserved: 0,
    };
    let event = decode(raw.as_bytes()).unwrap();
    assert_eq!((event.time_ns, event.task.tid), (77, 11));
    assert_eq!(event.body, Body::Unknown { kind: 99 });
    let raw = record::Close {
        header: header(kind::CLOSE),
        device: 1,
        dying: 0,
        reserved: 0,
    };
    let bytes = raw.as_bytes();
    let short = &bytes[..bytes.len() - 8];
    assert_eq!(decode(short), Err(Truncated(short.len())));
}

#[test]
fn an_answer_without_room_for_the_chain_still_describes_the_region() {
    let exit = |flags: u32| {
        let mut raw = record::Exit {
            header: header(kind::EXIT),
            device: 5,
            begin_ns: 70,
            result: 0,
            request: uapi::VFIO_DEVICE_GET_REGION_INFO,
            argument_len: 32,
            answer_len: 32,
            answer_unreadable: 0,
            argument: [0; ARGUMENT_BYTES],
            answer: [0; record::ANSWER_BYTES],
        };
        // struct vfio_region_info: argsz, flags, index, cap_offset, size, offset.
        for (n, word) in [96, flags, 2, 0, 0x8000, 0, 0, 2 << 8]
            .into_iter()
            .enumerate()
        {
            let bytes: [u8; 4] = u32::to_ne_bytes(word);
            raw.answer[n * 4..n * 4 + 4].copy_from_slice(&bytes);
        }
        match decode(raw.as_bytes()).unwrap().body {
            Body::Exit {
                answer: Answer::Region(region),
                ..
            } => region,
            other => panic!("{other:?}"),
        }
    };
    let (rw, mmap, caps) = (3, 4, 8);
    let sparse = exit(rw | mmap | caps);
    assert_eq!(
        (sparse.index, sparse.size, sparse.offset),
        (2, 0x8000, 2 << uapi::VFIO_PCI_OFFSET_SHIFT)
    );
    assert!(!sparse.areas_known);
    let trapped = exit(rw | caps);
    assert!(trapped.areas_known && trapped.areas.is_empty());
    let plain = exit(rw | mmap);
    assert!(plain.areas_known && plain.areas.len() == 1);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(kind in 0u32..26, words in prop::collection::vec(any::<u64>(), 4..120)) {
        let mut words = words;
        words[0] = u64::from(kind);
        let _ = decode(words.as_bytes());
    }
}
