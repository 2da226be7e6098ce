//! Traces the fault handlers of mapped regions, entry and return: those of vfio_pci_core
//! (drivers/vfio/pci/vfio_pci_core.c) and those of the drivers, found by their prototype,
//! `vm_fault_t (struct vm_fault *)` or with an order behind it.
//! Emits `Fault`, once for the outermost handler; inner handlers only set how much is populated.
//! Without it the cost of a zap and refused accesses are not seen.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated,
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use remap_common::record::{Fault, LostKind, UNKNOWN_SIZE};

use super::{probed_argument, probed_return};
use crate::{
    emit::{self, Loss, Run},
    filter, maps, read,
};

/// A handler without an order sets up one page of this many bytes.
const PAGE: u64 = 4096;

/// The core's handler without an order.
#[kprobe]
pub fn fault_core_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(file) = read::fault_of(probed_argument(&ctx, 0))
        .map(|(vma, _)| vma)
        .and_then(read::file_of_vma)
        && let Some(operations) = read::operations_of(file)
    {
        // Only VMAs of device files have this handler.
        filter::learn_device_operations(operations);
    }
    entered(&ctx, if read::fault_fills_vma() { 0 } else { PAGE });
    0
}

/// A driver's own handler without an order: the size that it populates is unknown.
#[kprobe]
pub fn fault_vendor_kprobe(ctx: ProbeContext) -> u32 {
    entered(&ctx, UNKNOWN_SIZE);
    0
}

/// A handler with an order.
#[kprobe]
pub fn fault_order_kprobe(ctx: ProbeContext) -> u32 {
    let order = probed_argument(&ctx, 1) as u32;
    entered(&ctx, PAGE << (order & 31));
    0
}

#[kretprobe]
#[expect(unsafe_code, reason = "calls a helper")]
pub fn fault_kretprobe(ctx: RetProbeContext) -> u32 {
    let Some(call) = emit::call_in(&maps::FAULTS) else {
        return 0;
    };
    // SAFETY: the context is this program's own.
    if unsafe { generated::bpf_get_func_ip(ctx.as_ptr()) } != call.handler {
        return 0;
    }
    let for_dma = u32::from(emit::call_in(&maps::NODE_CALLS).is_some());
    emit::emit(
        Run::of(&ctx),
        Loss::kind(call.device, LostKind::Fault),
        || Fault {
            device: call.device,
            offset: call.offset,
            address: call.address,
            begin_ns: call.begin_ns,
            size: call.size,
            result: probed_return(&ctx) as u32,
            for_dma,
        },
    );
    let _ = maps::FAULTS.remove(emit::thread());
    0
}

/// A handler was entered that populates `size` bytes, 0 for the whole VMA.
#[inline(always)]
#[expect(unsafe_code, reason = "calls a helper, changes a map value in place")]
fn entered(ctx: &ProbeContext, size: u64) -> Option<()> {
    let vmf = probed_argument(ctx, 0);
    let (vma, address) = emit::required(read::fault_of(vmf))?;
    let file = filter::device_file_of_vma(vma)?;
    let (start, end, offset) = emit::required(read::range_of_vma(vma))?;
    let size = if size == 0 { end - start } else { size };
    if let Some(outer) = maps::FAULTS.get_ptr_mut(emit::thread()) {
        // SAFETY: the entry belongs to this thread, which is here and nowhere else.
        let outer = unsafe { &mut *outer };
        if outer.vmf == vmf && outer.address == address {
            if outer.size == UNKNOWN_SIZE {
                outer.size = size;
            }
            return None;
        }
    }
    let device = emit::required(read::device_of(file))?;
    let call = maps::Fault {
        begin_ns: emit::now(),
        // SAFETY: the context is this program's own.
        handler: unsafe { generated::bpf_get_func_ip(ctx.as_ptr()) },
        vmf,
        device,
        offset: offset + address.wrapping_sub(start),
        address,
        size,
    };
    emit::begin(&maps::FAULTS, Loss::kind(device, LostKind::Fault), &call);
    Some(())
}
