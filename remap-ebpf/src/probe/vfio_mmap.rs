//! Traces `vfio_device_fops_mmap` (drivers/vfio/vfio_main.c), entry and return: a part of a
//! region is mapped. Emits `Map`. Without it the map stage is missing, and no unmap is recognised.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use remap_common::{
    counter::Counter,
    record::{Map, Origin},
};

use super::{probed_argument, probed_return};
use crate::{emit, filter, maps, read};

#[kprobe(function = "vfio_device_fops_mmap")]
pub fn vfio_mmap_kprobe(ctx: ProbeContext) -> u32 {
    let file = probed_argument(&ctx, 0);
    // One option at a time: from a tuple of options the optimiser makes reads of unset registers, which
    // the verifier rejects.
    let Some(device) = read::device_of(file) else {
        emit::lose(Counter::Unreadable);
        return 0;
    };
    let Some((start, end, offset)) = read::range_of_vma(probed_argument(&ctx, 1)) else {
        emit::lose(Counter::Unreadable);
        return 0;
    };
    if let Some(operations) = read::operations_of(file) {
        filter::learn_device_operations(operations);
    }
    filter::involve_process();
    filter::learn_mm(probed_argument(&ctx, 1), &emit::Subject::current());
    let call = maps::Mmap {
        device,
        address: start,
        size: end - start,
        offset,
    };
    emit::begin(&maps::MMAPS, &call);
    0
}

#[kretprobe(function = "vfio_device_fops_mmap")]
#[expect(unsafe_code, reason = "reads a map value")]
pub fn vfio_mmap_kretprobe(ctx: RetProbeContext) -> u32 {
    let thread = emit::thread();
    // SAFETY: map values live until the program ends.
    let Some(call) = (unsafe { maps::MMAPS.get(thread) }) else {
        return 0;
    };
    emit::emit(|| Map {
        device: call.device,
        address: call.address,
        size: call.size,
        offset: call.offset,
        result: i64::from(probed_return(&ctx) as i32),
        origin: Origin::Seen.wire(),
        reserved: 0,
    });
    let _ = maps::MMAPS.remove(thread);
    0
}
