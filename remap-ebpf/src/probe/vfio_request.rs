//! Traces `vfio_pci_core_request` (drivers/vfio/pci/vfio_pci_core.c): an unbind waits for the user of
//! a device, and asks for it every ten seconds. Emits `Request`. Without it only a device whose REQ
//! eventfd is set is known to be asked for.

use remap_common::record::Request;

use super::vfio_ioctl::introduce;
use crate::emit::{self, Loss, Run};

program!(kprobe, vfio_request_kprobe, run, |argument| requested(
    run,
    argument(0),
    argument(1) as u32
));

#[inline(always)]
fn requested(run: Run, device: u64, count: u32) {
    introduce(run, device);
    emit::emit(run, Loss::of(device), || Request {
        device,
        count,
        reserved: 0,
    });
}
