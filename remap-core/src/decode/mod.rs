//! Wire bytes → [`Event`]. No unsafe, no clock, no file; what is not known is a value.

mod call;
mod eventfd;
pub mod in_flight;
mod memory;
mod migration;
mod node;
#[cfg(test)]
pub(crate) mod tests;

use remap_common::{
    record::{self, Tristate, Truncated, Wire},
    uapi,
};

use crate::{
    event::{Body, DeviceKey, Errno, Event, Task},
    printable,
};

/// Decodes one record. A kind that this version does not know, or a record with a number that it
/// does not know, is an event too: [`Body::Unknown`].
///
/// # Errors
/// If the record is cut off; the caller counts it as lost.
pub fn decode(bytes: &[u8]) -> Result<Event, Truncated> {
    let (header, record) = record::parse(bytes)?;
    let kind = header.kind;
    Ok(Event {
        time_ns: header.time_ns,
        cpu: header.cpu,
        task: Task {
            pid: header.pid,
            tid: header.tid,
            comm: text(&header.comm),
        },
        body: record.convert().unwrap_or(Body::Unknown { kind }),
    })
}

fn known<T>(value: T, known: u32) -> Option<T> {
    (known != 0).then_some(value)
}

fn answered(value: Wire<Tristate>) -> Option<bool> {
    match value.known()? {
        Tristate::Yes => Some(true),
        Tristate::No => Some(false),
        Tristate::Unknown => None,
    }
}

/// An address; 0 stands for unknown.
fn device_of(address: u64) -> Option<DeviceKey> {
    (address != 0).then_some(DeviceKey(address))
}

/// An fd where a negative number means none.
fn fd_of(fd: i32) -> Option<i32> {
    (fd >= 0).then_some(fd)
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    printable::from_bytes(&bytes[..end.unwrap_or(bytes.len())])
}

fn result(value: i64) -> Result<i64, Errno> {
    if value < 0 {
        let errno = i32::try_from(value.unsigned_abs());
        Err(Errno(errno.unwrap_or(i32::MAX)))
    } else {
        Ok(value)
    }
}

/// An offset in the device file as region index and offset within the region.
fn split(offset: u64) -> (u32, u64) {
    let region = u32::try_from(offset >> uapi::VFIO_PCI_OFFSET_SHIFT).unwrap_or(u32::MAX);
    (region, offset & ((1 << uapi::VFIO_PCI_OFFSET_SHIFT) - 1))
}
