//! Kernel addresses, replaced by small numbers: a recording shows nothing of where a kernel lies.

use std::{collections::HashMap, mem::offset_of};

use remap_common::record::{self, kind};

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
            let word = record.get_mut(*offset..).and_then(<[u8]>::first_chunk_mut);
            if let Some(word) = word {
                *word = self.of(u64::from_ne_bytes(*word)).to_ne_bytes();
            }
        }
    }
}

/// Where a kind of record has kernel addresses.
fn offsets(number: u32) -> &'static [usize] {
    const TARGET: usize = offset_of!(record::Target, device);
    macro_rules! of {
        ($record:ident: $($field:ident $(+ $within:expr)?),*) => {
            &[$(offset_of!(record::$record, $field) $(+ $within)?),*]
        };
    }
    match number {
        kind::DEVICE => of!(Device: device),
        kind::CLOSE => of!(Close: device),
        kind::ENTER => of!(Enter: device),
        kind::EXIT => of!(Exit: device),
        kind::CONTEXT => of!(Context: context, target + TARGET),
        kind::SIGNAL => of!(Signal: context, target + TARGET, inside),
        kind::CONSUMED => of!(Consumed: context, target + TARGET),
        kind::READ => of!(Read: context, target + TARGET),
        kind::WRITE => of!(Write: context, target + TARGET),
        kind::RELEASE => of!(Release: context, target + TARGET),
        kind::MAP => of!(Map: device),
        kind::UNMAP => of!(Unmap: device),
        kind::STATE_ENTER => of!(StateEnter: device),
        kind::STATE_EXIT => of!(StateExit: device),
        kind::FAULT => of!(Fault: device),
        kind::ZAP => of!(Zap: device),
        kind::CONFIG_WRITE => of!(ConfigWrite: device),
        kind::DMA => of!(Dma: node),
        kind::NODE => of!(Node: key),
        kind::DEVICE_FILE => of!(DeviceFile: device, key),
        kind::DATA => of!(Data: device, file),
        kind::PRECOPY_INFO => of!(PrecopyInfo: device, file),
        _ => &[],
    }
}
