//! Forged records: floods of one kind, each record about something new.

use remap_common::record::{ARGUMENT_BYTES, Field, Header, Kind, Unit};
use remap_common::uapi;

/// What differs from record to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// The process.
    Process,
    /// Everything but process and device.
    Fields,
    /// The device, and what else is an address of the kernel.
    Addresses,
    /// Everything.
    All,
}

impl Fresh {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Process, Self::Fields, Self::Addresses, Self::All];

    /// The number of the object that a field of the record `n` is about.
    fn number(self, field: &Field, n: u64) -> u64 {
        let fresh = match (self, field.unit, field.name) {
            (Self::All, ..) => true,
            (Self::Process, ..) => false,
            (Self::Fields, _, "device") | (Self::Addresses, _, "context") => {
                self == Self::Addresses
            }
            (Self::Fields, ..) => true,
            (Self::Addresses, unit, _) => unit == Unit::KernelAddress || field.name == "name",
        };
        if fresh { n } else { 1 }
    }
}

/// The ioctls of a device that have an effect on tables.
const REQUESTS: [u32; 6] = [
    uapi::VFIO_DEVICE_SET_IRQS,
    uapi::VFIO_DEVICE_FEATURE,
    uapi::VFIO_DEVICE_GET_REGION_INFO,
    uapi::VFIO_DEVICE_GET_IRQ_INFO,
    uapi::VFIO_DEVICE_RESET,
    uapi::VFIO_DEVICE_GET_INFO,
];

/// How long before a record a call began that returned with it, ns.
const CALL_NS: u64 = 500;

/// The record `n` of a flood.
pub fn record(kind: &Kind, fresh: Fresh, n: u64, time_ns: u64) -> Vec<u8> {
    let mut record = vec![0; kind.size];
    let process = if matches!(fresh, Fresh::Process | Fresh::All) {
        n as u32
    } else {
        0
    };
    // Calls of each kind in turn.
    let request = REQUESTS[n as usize % REQUESTS.len()];
    for field in kind.fields {
        let number = fresh.number(field, n);
        let value = match (field.unit, field.name) {
            (_, "comm") => continue,
            _ if field.offset < size_of::<Header>() => header(kind, field.name, process, time_ns),
            (_, "request") if field.size == 4 => u64::from(request),
            (_, "argument_len") => ARGUMENT_BYTES as u64,
            (_, "answer_len") => 64,
            (_, "answer_unreadable" | "reserved") => 0,
            (_, "argument" | "answer") => {
                argument(
                    &mut record[field.offset..][..field.size],
                    request,
                    number as u32,
                );
                continue;
            }
            (Unit::Text, _) => {
                let text = format!("{number:04x}:00.0");
                record[field.offset..][..text.len()].copy_from_slice(text.as_bytes());
                continue;
            }
            (Unit::Nanoseconds, _) => time_ns - CALL_NS,
            (Unit::Flag, _) => n % 2,
            (Unit::Returned, _) => 0,
            (Unit::Bytes, "size" | "requested") => 4096,
            (Unit::Bytes | Unit::UserAddress | Unit::DeviceAddress, _) => number * 8192,
            _ if !field.values.is_empty() => {
                u64::from(field.values[n as usize % field.values.len()].0)
            }
            _ => number,
        };
        record[field.offset..][..field.size].copy_from_slice(&value.to_ne_bytes()[..field.size]);
    }
    record
}

fn header(kind: &Kind, name: &str, process: u32, time_ns: u64) -> u64 {
    match name {
        "kind" => u64::from(kind.number),
        "time_ns" => time_ns,
        "pid" | "tid" => u64::from(1000 + process),
        _ => 0,
    }
}

/// An ioctl's argument in words: its size, flags, an index, a start, a count.
fn argument(bytes: &mut [u8], request: u32, number: u32) {
    let flags = match request {
        uapi::VFIO_DEVICE_SET_IRQS => {
            uapi::VFIO_IRQ_SET_DATA_EVENTFD | uapi::VFIO_IRQ_SET_ACTION_TRIGGER
        }
        uapi::VFIO_DEVICE_FEATURE => {
            uapi::VFIO_DEVICE_FEATURE_SET | uapi::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE
        }
        _ => 3,
    };
    let words = [64, flags, number, number, 1, number];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
}
