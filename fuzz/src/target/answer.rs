//! Answers of a driver: regions and IRQs, as `serve` and a trace read them.

use remap_common::record::{Exit, Header, Record as _};
use remap_common::uapi;
use remap_core::decode::decode;
use remap_core::parse::{irq, region};
use zerocopy::IntoBytes as _;

use super::{Target, seeds};

/// u8: which answer it is; then its bytes.
pub const ANSWER: Target = Target {
    name: "answer",
    run,
    seeds: || seeds::answers().into_iter().map(seed).collect(),
};

/// The ioctls whose answers a trace decodes.
const REQUESTS: [u32; 6] = [
    uapi::VFIO_DEVICE_GET_REGION_INFO,
    uapi::VFIO_DEVICE_GET_IRQ_INFO,
    uapi::VFIO_DEVICE_GET_INFO,
    uapi::VFIO_DEVICE_FEATURE,
    uapi::VFIO_DEVICE_SET_IRQS,
    uapi::VFIO_DEVICE_PCI_HOT_RESET,
];

fn seed((request, answer): (u32, Vec<u8>)) -> Vec<u8> {
    let number = REQUESTS.iter().position(|one| *one == request).unwrap_or(0);
    [&[number as u8][..], &answer].concat()
}

fn run(bytes: &[u8]) {
    let Some((which, answer)) = bytes.split_first() else {
        return;
    };
    match REQUESTS[usize::from(*which) % REQUESTS.len()] {
        uapi::VFIO_DEVICE_GET_REGION_INFO => regions(answer),
        uapi::VFIO_DEVICE_GET_IRQ_INFO => irqs(answer),
        _ => {}
    }
    returned(*which, answer);
}

fn regions(answer: &[u8]) {
    let bare = region::parse_without_chain(answer);
    match region::parse(answer) {
        Ok(region) => {
            let mut end = 0;
            for area in region.areas.iter() {
                assert!(area.size > 0 && area.offset >= end, "{region:?}");
                end = area.offset + area.size;
            }
            assert!(end <= region.size, "{region:?}");
            assert_eq!(bare.map(|bare| bare.size), Ok(region.size));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn irqs(answer: &[u8]) {
    match irq::parse(answer) {
        Ok(info) => {
            let Some(remap) = info.remap else {
                return;
            };
            for region in remap.named() {
                assert!(remap.may_name(region), "{remap:?}");
            }
            for value in [1, u64::MAX] {
                let regions = remap.regions(info.count, value);
                assert!(regions.len() <= 64 && regions.is_sorted(), "{remap:?}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The same as a trace gets it: in the record of a call that returned.
fn returned(which: u8, answer: &[u8]) {
    let mut trail = [0; remap_common::record::ANSWER_BYTES];
    let length = answer.len().min(trail.len());
    trail[..length].copy_from_slice(&answer[..length]);
    let mut argument = [0; remap_common::record::ARGUMENT_BYTES];
    let front = length.min(argument.len());
    argument[..front].copy_from_slice(&answer[..front]);
    let header = Header {
        kind: Exit::KIND,
        cpu: 0,
        time_ns: 2,
        pid: 1,
        tid: 1,
        comm: [0; 16],
    };
    let exit = Exit {
        device: 1,
        begin_ns: 1,
        // The highest bit: the call failed.
        result: if which & 128 == 0 { 0 } else { -22 },
        request: REQUESTS[usize::from(which) % REQUESTS.len()],
        argument_len: front as u32,
        answer_len: length as u32,
        answer_unreadable: 0,
        argument,
    };
    // Words, so that the record is aligned.
    let mut record = [0_u64; 96];
    let record = record.as_mut_bytes();
    let parts = [header.as_bytes(), exit.as_bytes(), &trail];
    let mut at = 0;
    for part in parts {
        record[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    assert!(decode(&record[..at]).is_ok(), "it is whole");
}
