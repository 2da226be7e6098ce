//! Kernel addresses, replaced by small numbers: a recording shows nothing of where a kernel lies.

use std::collections::HashMap;

use remap_common::record::{KINDS, Unit};

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

    /// Replaces the addresses in a record. A record that is cut off stays as it is.
    pub(super) fn replace(&mut self, record: &mut [u8]) {
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

/// Where a kind of record has kernel addresses.
fn offsets(number: u32) -> impl Iterator<Item = usize> {
    let kind = KINDS.iter().find(|kind| kind.number == number);
    let fields = kind.into_iter().flat_map(|kind| kind.fields);
    fields
        .filter(|field| field.unit == Unit::KernelAddress)
        .map(|field| field.offset)
}
