//! Kernel addresses, replaced by small numbers: a recording shows nothing of where a kernel lies.

use std::{collections::HashMap, mem::offset_of};

use remap_common::record::{Exit, Frame, KINDS, RecordRef, Unit, parse};

/// What a recording has in place of kernel addresses.
#[derive(Debug)]
pub(super) struct Addresses {
    /// Numbers in the order of their appearance, from 1 on; `None`: the addresses themselves.
    numbers: Option<HashMap<u64, u64>>,
    /// Where the records of each kind have addresses, by the number of the kind.
    offsets: Vec<Vec<usize>>,
}

impl Addresses {
    /// Numbers, or with `kept` the addresses themselves.
    pub(super) fn new(kept: bool) -> Self {
        let last = KINDS.iter().map(|kind| kind.number).max().unwrap_or(0);
        Self {
            numbers: (!kept).then(HashMap::new),
            offsets: (0..=last).map(|kind| offsets(kind).collect()).collect(),
        }
    }

    /// What stands for a kernel address. Any other value stays: 0, a user address.
    pub(super) fn of(&mut self, value: u64) -> u64 {
        match &mut self.numbers {
            Some(numbers) => number(numbers, value),
            None => value,
        }
    }

    /// Replaces the addresses in a record, and overwrites what the ring's memory had before behind an
    /// answer. A record that is cut off stays as it is.
    pub(super) fn replace(&mut self, record: &mut [u8]) {
        clear_unused(record);
        let Some(numbers) = &mut self.numbers else {
            return;
        };
        let kind = record.first_chunk().map(|kind| u32::from_ne_bytes(*kind));
        let kind = kind.and_then(|kind| usize::try_from(kind).ok());
        let offsets = kind.and_then(|kind| self.offsets.get(kind));
        for offset in offsets.into_iter().flatten() {
            let word = record.get_mut(*offset..).and_then(<[u8]>::first_chunk_mut);
            if let Some(word) = word {
                *word = number(numbers, u64::from_ne_bytes(*word)).to_ne_bytes();
            }
        }
    }
}

fn number(numbers: &mut HashMap<u64, u64>, value: u64) -> u64 {
    // The kernel has the upper half of the address space.
    if value >> 63 == 0 {
        return value;
    }
    let next = numbers.len() as u64 + 1;
    *numbers.entry(value).or_insert(next)
}

/// Overwrites what is behind the answer of an ioctl: it may be of any earlier record.
fn clear_unused(record: &mut [u8]) {
    let Ok((_, RecordRef::Exit(exit, _))) = parse(record) else {
        return;
    };
    let used = offset_of!(Frame<Exit>, trail) + exit.answer_len as usize;
    if let Some(unused) = record.get_mut(used..size_of::<Frame<Exit>>()) {
        unused.fill(0);
    }
}

/// Where a kind of record has kernel addresses.
fn offsets(number: u32) -> impl Iterator<Item = usize> {
    let kind = KINDS.iter().find(|kind| kind.number == number);
    let fields = kind.into_iter().flat_map(|kind| kind.fields);
    fields
        .filter(|field| field.unit == Unit::KernelAddress)
        .map(|field| field.offset)
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes as _;

    use super::*;

    #[test]
    fn what_an_answer_does_not_use_is_overwritten() {
        let mut words = [0xffff_8880_0123_4560_u64; size_of::<Frame<Exit>>() / 8];
        let record = words.as_mut_bytes();
        record[..4].copy_from_slice(&<Exit as remap_common::record::Record>::KIND.to_ne_bytes());
        let length = offset_of!(Frame<Exit>, body) + offset_of!(Exit, answer_len);
        record[length..length + 4].copy_from_slice(&8_u32.to_ne_bytes());
        Addresses::new(false).replace(record);
        let answer = offset_of!(Frame<Exit>, trail);
        assert_ne!(record[answer..answer + 8], [0; 8]);
        assert!(record[answer + 8..].iter().all(|byte| *byte == 0));
        // One that is longer than there is room for.
        record[length..length + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
        let before = record.to_vec();
        Addresses::new(false).replace(record);
        assert_eq!(record[answer..], before[answer..]);
    }
}
