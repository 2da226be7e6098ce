//! Traces `vfio_device_fops_release` (drivers/vfio/vfio_main.c): a device file is closed.
//! Emits `Close` with the last one. Without it the death of an owner is not seen as such.

use aya_ebpf::{macros::kprobe, programs::ProbeContext};
use remap_common::record::{Close, answer, kind};

use super::probed_argument;
use crate::{
    emit, filter,
    maps::{self, WHOLE_DEVICE},
    read,
};

#[kprobe(function = "vfio_device_fops_release")]
#[expect(unsafe_code, reason = "fills a record behind a raw pointer")]
pub fn vfio_release_kprobe(ctx: ProbeContext) -> u32 {
    let Some(device) = read::device_of(probed_argument(&ctx, 1)) else {
        return 0;
    };
    // A device that no record named has nothing to end; with further files open it goes on.
    // SAFETY: map values live until the program ends.
    if unsafe { maps::DEVICES.get(device) }.is_none() {
        return 0;
    }
    if read::open_count(device).is_some_and(|files| files > 1) {
        return 0;
    }
    // SAFETY: every field of the reserved record is written.
    unsafe {
        emit::emit::<Close>(kind::CLOSE, emit::now(), |record| {
            (*record).device = device;
            (*record).dying = answer::UNKNOWN;
            (*record).reserved = 0;
        });
    }
    // Its memory may serve another device next time: name and contexts are learned anew.
    filter::next_generation(device, WHOLE_DEVICE);
    let _ = maps::DEVICES.remove(device);
    0
}
