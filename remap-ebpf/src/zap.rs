//! Shared by the hooks that see zaps: the record, and its cause, the call that the thread is in.
#![expect(
    unsafe_code,
    reason = "fills a record behind a raw pointer; references into map values"
)]

use remap_common::{
    record::{Zap, cause, kind},
    uapi::{
        VFIO_DEVICE_FEATURE, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_OFFSET_SHIFT,
        vfio_device_feature,
    },
};

use crate::{emit, maps};

/// The call of this thread that a zap happens in, as in [`Zap`].
struct Cause {
    cause: u32,
    detail: u32,
    value: u32,
    value_known: u32,
}

/// Reports that `size` bytes (0: all) of the device file from `offset` on lose their pages.
#[inline(always)]
pub fn report(device: u64, offset: u64, size: u64) {
    let cause = cause();
    // SAFETY: every field of the reserved record is written.
    unsafe {
        emit::emit::<Zap>(kind::ZAP, |record| {
            (*record).device = device;
            (*record).offset = offset;
            (*record).size = size;
            (*record).cause = cause.cause;
            (*record).detail = cause.detail;
            (*record).value = cause.value;
            (*record).value_known = cause.value_known;
        });
    }
}

#[inline(always)]
fn cause() -> Cause {
    let thread = emit::thread();
    // SAFETY: map values live until the program ends.
    if let Some(call) = unsafe { maps::IOCTLS.get(thread) } {
        let known = call.request == VFIO_DEVICE_FEATURE
            && call.argument_len as usize >= vfio_device_feature::DATA;
        return Cause {
            cause: cause::IOCTL,
            detail: call.request,
            value: if known {
                call.word(vfio_device_feature::FLAGS)
            } else {
                0
            },
            value_known: u32::from(known),
        };
    }
    // SAFETY: as above.
    let Some(write) = (unsafe { maps::REGION_WRITES.get(thread) }) else {
        return Cause {
            cause: cause::UNKNOWN,
            detail: 0,
            value: 0,
            value_known: 0,
        };
    };
    let of_config =
        write.offset >> VFIO_PCI_OFFSET_SHIFT == u64::from(VFIO_PCI_CONFIG_REGION_INDEX);
    Cause {
        cause: if of_config {
            cause::CONFIG_WRITE
        } else {
            cause::STATE_WRITE
        },
        detail: write.offset as u32,
        value: write.word,
        value_known: write.word_known,
    }
}
