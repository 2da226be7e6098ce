//! Traces `vfio_device_fops_mmap` (drivers/vfio/vfio_main.c), entry and return: a part of a
//! region is mapped. Emits `Map`. Without it the map stage is missing, and no unmap is recognised.

use remap_common::record::{Map, Origin};

use crate::{
    emit::{self, Loss},
    filter, maps, read,
};

program!(kprobe, vfio_mmap_kprobe, |argument| entered(
    argument(0),
    argument(1)
));

/// One option at a time: from a tuple of options the optimiser makes reads of unset registers, which
/// the verifier rejects.
#[inline(always)]
fn entered(file: u64, vma: u64) -> Option<()> {
    let device = emit::required(read::device_of(file))?;
    let (start, end, offset) = emit::required(read::range_of_vma(vma))?;
    if let Some(operations) = read::operations_of(file) {
        filter::learn_device_operations(operations);
    }
    filter::involve_process();
    filter::learn_mm(vma, &emit::Subject::current());
    let call = maps::Mmap {
        device,
        address: start,
        size: end - start,
        offset,
    };
    emit::begin(&maps::MMAPS, Loss::of(device), &call);
    Some(())
}

program!(kretprobe, vfio_mmap_kretprobe, run, |result| emit::end(
    &maps::MMAPS,
    |call| {
        emit::emit(run, Loss::of(call.device), || Map {
            device: call.device,
            address: call.address,
            size: call.size,
            offset: call.offset,
            result: i64::from(result as i32),
            origin: Origin::Seen.wire(),
            reserved: 0,
        });
    }
));
