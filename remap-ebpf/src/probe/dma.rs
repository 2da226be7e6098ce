//! Traces `vfio_fops_unl_ioctl` (drivers/vfio/container.c) and `iommufd_fops_ioctl`
//! (drivers/iommu/iommufd/main.c), entry and return: memory is mapped for DMA or unmapped.
//! Emits `Dma`. Without it mappings of a region for another device's DMA are not seen.
//!
//! An iommufd takes a container's requests too; their numbers do not collide.

use remap_common::{
    counter::Counter,
    record::{Dma, DmaKind, NodeKind},
    uapi::{
        EFAULT, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP, VFIO_DMA_UNMAP_FLAG_ALL, VFIO_IOMMU_MAP_DMA,
        VFIO_IOMMU_UNMAP_DMA,
    },
};

use crate::{
    emit::{self, Loss, Run},
    maps::{self, NodeCall},
    read,
};

/// `-EFAULT`: the memory cannot be mapped for DMA, or the kernel could not read the arguments, and then
/// the program cannot either.
const FAULT: i64 = -EFAULT;

#[inline(always)]
const fn is_of_dma(request: u32) -> bool {
    matches!(
        request,
        VFIO_IOMMU_MAP_DMA | VFIO_IOMMU_UNMAP_DMA | IOMMU_IOAS_MAP | IOMMU_IOAS_UNMAP
    )
}

program!(kprobe, dma_kprobe, |argument| entered(
    argument(0),
    argument(1) as u32,
    argument(2)
));

/// Every request is recorded: otherwise a missed return would be matched with a later entry.
#[inline(always)]
fn entered(file: u64, request: u32, pointer: u64) -> Option<()> {
    let key = emit::required(read::private_of(file))?;
    emit::begin(
        &maps::NODE_CALLS,
        Loss::UNKNOWN,
        &NodeCall {
            pointer,
            request,
            all: extent(request, pointer),
            ..NodeCall::of(NodeKind::Container, key, 0)
        },
    );
    Some(())
}

/// Whether everything is unmapped: by a flag, or by the whole range.
#[inline(always)]
fn extent(request: u32, pointer: u64) -> u32 {
    let all = match request {
        VFIO_IOMMU_UNMAP_DMA => {
            read::user_word::<u32>(pointer + 4).map(|flags| flags & VFIO_DMA_UNMAP_FLAG_ALL != 0)
        }
        IOMMU_IOAS_UNMAP => is_whole_range(pointer),
        _ => Some(false),
    };
    match all {
        Some(true) => NodeCall::ALL,
        Some(false) => 0,
        None => NodeCall::UNREAD,
    }
}

#[inline(always)]
fn is_whole_range(pointer: u64) -> Option<bool> {
    let iova: u64 = read::user_word(pointer + 8)?;
    let size: u64 = read::user_word(pointer + 16)?;
    Some(iova == 0 && size == u64::MAX)
}

/// Byte offsets in the structures of the requests: the virtual address (if there is one), the IOVA
/// and the length. The kernel writes the IOVA that it chose and the length that it unmapped.
#[inline(always)]
const fn members(request: u32) -> (u64, u64, u64) {
    match request {
        VFIO_IOMMU_MAP_DMA => (8, 16, 24),
        IOMMU_IOAS_MAP => (16, 32, 24),
        _ => (0, 8, 16),
    }
}

program!(kretprobe, dma_kretprobe, run, |result| emit::end(
    &maps::NODE_CALLS,
    |call| {
        let result = result as i64;
        if is_of_dma(call.request) && report(run, call, result).is_none() && result != FAULT {
            emit::lose(Counter::Unreadable, Loss::UNKNOWN);
        }
    }
));

/// Reports a request; `None` if its arguments could not be read.
#[inline(always)]
fn report(run: Run, call: &NodeCall, result: i64) -> Option<()> {
    let (vaddr, iova, size) = members(call.request);
    let iova = read::user_word(call.pointer + iova)?;
    let size = read::user_word(call.pointer + size)?;
    let maps = matches!(call.request, VFIO_IOMMU_MAP_DMA | IOMMU_IOAS_MAP);
    let vaddr = if maps {
        read::user_word(call.pointer + vaddr)?
    } else {
        0
    };
    // The flags can be read now. An iommufd has overwritten the length by now.
    let all = match call.all {
        NodeCall::UNREAD if call.request == VFIO_IOMMU_UNMAP_DMA => {
            extent(call.request, call.pointer)
        }
        known => known,
    };
    let operation = match all {
        _ if maps => DmaKind::Map,
        NodeCall::UNREAD => return None,
        NodeCall::ALL => DmaKind::UnmapAll,
        _ => DmaKind::Unmap,
    };
    emit::emit(run, Loss::UNKNOWN, || Dma {
        node: call.key,
        iova,
        size,
        vaddr,
        begin_ns: call.begin_ns,
        result,
        operation: operation.wire(),
        reserved: 0,
    });
    Some(())
}
