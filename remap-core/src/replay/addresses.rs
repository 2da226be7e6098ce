//! Kernel addresses, replaced by small numbers: a recording shows nothing of where a kernel lies.

use std::collections::HashMap;

use remap_common::record::{KINDS, Unit};

/// Numbers addresses in the order of their appearance, from 1 on.
#[derive(Debug, Default)]
pub struct Numbers(HashMap<u64, u64>);

impl Numbers {
    /// The number of a kernel address. Any other value stays: 0, a user address.
    pub fn of(&mut self, value: u64) -> u64 {
        // The kernel has the upper half of the address space.
        if value >> 63 == 0 {
            return value;
        }
        let next = self.0.len() as u64 + 1;
        *self.0.entry(value).or_insert(next)
    }

    /// Replaces the addresses in a record. A record that is cut off stays as it is.
    pub fn replace(&mut self, record: &mut [u8]) {
        let Some(kind) = record.first_chunk().map(|kind| u32::from_ne_bytes(*kind)) else {
            return;
        };
        for offset in offsets(kind) {
            let word = record.get_mut(offset..).and_then(<[u8]>::first_chunk_mut);
            if let Some(word) = word {
                *word = self.of(u64::from_ne_bytes(*word)).to_ne_bytes();
            }
        }
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
