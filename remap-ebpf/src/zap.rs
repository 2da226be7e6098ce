//! Shared by the hooks that see zaps: the record, and its cause, the call that the thread is in.

use remap_common::{
    record::{Cause, Zap},
    uapi::{
        VFIO_DEVICE_FEATURE, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_OFFSET_SHIFT,
        vfio_device_feature,
    },
};

use crate::{
    emit::{self, Loss, Run},
    maps,
};

/// Reports that `size` bytes (0: all) of the device file from `offset` on lose their pages.
#[inline(always)]
pub fn report(run: Run, device: u64, offset: u64, size: u64) {
    let zap = in_call(Zap {
        device,
        offset,
        size,
        cause: Cause::Unknown.wire(),
        detail: 0,
        value: 0,
        value_known: 0,
    });
    emit::emit(run, Loss::of(device), || zap);
}

/// Adds in which call of this thread the zap happens.
#[inline(always)]
fn in_call(zap: Zap) -> Zap {
    if let Some(call) = emit::call_in(&maps::IOCTLS) {
        let known = call.request == VFIO_DEVICE_FEATURE
            && call.argument_len as usize >= vfio_device_feature::DATA;
        return Zap {
            cause: Cause::Ioctl.wire(),
            detail: call.request,
            value: if known {
                call.word(vfio_device_feature::FLAGS)
            } else {
                0
            },
            value_known: u32::from(known),
            ..zap
        };
    }
    let Some(write) = emit::call_in(&maps::REGION_WRITES) else {
        return zap;
    };
    let cause = if write.offset >> VFIO_PCI_OFFSET_SHIFT == u64::from(VFIO_PCI_CONFIG_REGION_INDEX)
    {
        Cause::ConfigWrite
    } else {
        Cause::StateWrite
    };
    Zap {
        cause: cause.wire(),
        detail: write.offset as u32,
        value: write.word,
        value_known: write.word_known,
        ..zap
    }
}
