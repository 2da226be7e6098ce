//! Traces `vfio_pci_core_request` (drivers/vfio/pci/vfio_pci_core.c): an unbind waits for the user of
//! a device, and asks for it every ten seconds. Emits `Request`. Without it only a device whose REQ
//! eventfd is set is known to be asked for.

use remap_common::record::Request;

use super::vfio_ioctl::introduce;
use crate::emit::{self, Loss};

program!(kprobe, vfio_request_kprobe, |argument| requested(
    argument(0),
    argument(1) as u32
));

#[inline(always)]
fn requested(device: u64, count: u32) {
    introduce(device);
    emit::emit(Loss::of(device), || Request {
        device,
        count,
        reserved: 0,
    });
}
