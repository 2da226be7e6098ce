//! Traces `vfio_device_fops_release` (drivers/vfio/vfio_main.c): a device file is closed.
//! Emits `Close` for the last file of a device, and `Node` for a file of the device's own node.
//! Without it the exit of a device's user is not seen.

use remap_common::record::{Close, NodeKind};

use super::node;
use crate::{
    emit, filter,
    maps::{self, WHOLE_DEVICE},
    read,
};

program!(kprobe, vfio_release_kprobe, run, |argument| released(
    run,
    argument(1)
));

#[inline(always)]
#[expect(unsafe_code, reason = "asks a map")]
fn released(run: emit::Run, file: u64) -> Option<()> {
    let device = read::device_of(file)?;
    if read::is_of_own_node(file) {
        node::closed(run, NodeKind::Cdev, device, read::device_number(device));
    }
    // A node that was opened and never bound does not use the device.
    if !read::is_granted(file) {
        return None;
    }
    // A device without a record has nothing to end, and one with further open files stays in use.
    // SAFETY: map values live until the program ends.
    if unsafe { maps::DEVICES.get(device) }.is_none() {
        return None;
    }
    if read::open_count(device).is_some_and(|files| files > 1) {
        return None;
    }
    let dying = read::is_exiting();
    emit::emit(run, emit::Loss::of(device), || Close {
        device,
        dying: dying.wire(),
        reserved: 0,
    });
    // The kernel may reuse its memory for another device, with another name and other contexts.
    filter::next_generation(device, WHOLE_DEVICE);
    if let Some(mapping) = read::inode_mapping_of(device) {
        filter::forget_inode_mapping(mapping);
    }
    let _ = maps::DEVICES.remove(device);
    Some(())
}
