//! The input of the target `pipeline`: a stream of records and steps in a form that stays a stream when
//! bytes of it change.
//!
//! ```text
//! u8 switches          see [`play`]
//! then items, each:
//!   u8  operation      1 to 63: a record of this kind; from 64 on a step; 128 added: the record is cut off
//!   u16 length         little-endian; at most what is left
//!   payload            of a record: u8 task, i64 time since the last item, the fields behind its header
//! ```
//! A record has zeros behind its payload, up to the length of its kind. Points in time within it are
//! stored as the time that has passed since. Addresses of the kernel are small numbers, as in a recording.

pub mod mutate;
pub mod pack;
pub mod play;

use remap_common::record::{Header, KINDS, Kind, Unit};

/// Added to a record's number: it ends where its payload ends.
const CUT: u8 = 128;
/// The watermark: i64 time since the last item.
const ADVANCE: u8 = 64;
/// A loss: u8 kind, u8 device, u16 count, i64 from, i64 until.
const LOSS: u8 = 65;
/// Hooks do not fire: u8 hooks and cause, u8 whether it is over, i64 since, i64 until.
const BLIND: u8 = 66;
/// The virtual machine of the next process: its name.
const OWNER: u8 = 67;
/// A call in flight: u8 task, u8 device, u8 number, i64 time, u64 request, u64 offset, 64 bytes of
/// memory, the stack.
const CALL: u8 = 68;
/// Such a call returned: u8 task, u8 device, i64 time, i64 since it was seen.
const RETURN: u8 = 69;
/// A line of a VMM's log: u8 log, i64 time, the text behind the stamp.
const LOG: u8 = 70;
/// A record byte by byte, with its header.
const RAW: u8 = 71;

/// One item: its operation, and its payload.
type Item<'a> = (u8, &'a [u8]);

/// The items of a stream without its switches.
fn items(mut bytes: &[u8]) -> impl Iterator<Item = Item<'_>> {
    std::iter::from_fn(move || {
        let (operation, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        bytes = rest;
        Some((*operation, payload))
    })
}

/// Appends an item.
fn append(out: &mut Vec<u8>, (operation, payload): Item<'_>) {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    out.push(operation);
    out.extend(length.to_le_bytes());
    out.extend(&payload[..usize::from(length)]);
}

/// The kind with this number.
fn kind(number: u32) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.number == number)
}

/// The points in time of a record, behind its header: their offsets from its start.
fn times(kind: &Kind) -> impl Iterator<Item = usize> {
    let fields = kind.fields.iter();
    let fields = fields.filter(|field| field.unit == Unit::Nanoseconds);
    fields
        .map(|field| field.offset)
        .filter(|offset| *offset >= size_of::<Header>())
}

/// Replaces a point in time by the time that has passed since, or the other way round.
fn turn(record: &mut [u8], offset: usize, time_ns: u64) {
    let word = record.get_mut(offset..).and_then(<[u8]>::first_chunk_mut);
    if let Some(word) = word {
        *word = time_ns
            .wrapping_sub(u64::from_ne_bytes(*word))
            .to_ne_bytes();
    }
}
