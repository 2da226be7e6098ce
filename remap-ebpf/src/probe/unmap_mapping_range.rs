//! Traces `unmap_mapping_range` (mm/memory.c): all mappings of a part of a file lose their pages.
//! From 6.10 on (aac6db75a9fc) a device zaps its regions this way, by its inode mapping.
//! Emits `Zap`. Without it the reason why a region faults again is not seen.
//!
//! File systems call it too, whenever a file is truncated: a flag filters their inode mappings out.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};

use super::{probed_argument, traced_argument};
use crate::{filter, zap};

#[fentry(function = "unmap_mapping_range")]
pub fn unmap_mapping_range_fentry(ctx: FEntryContext) -> u32 {
    if let Some(device) = filter::device_of_inode_mapping(traced_argument(&ctx, 0)) {
        zap::report(device, traced_argument(&ctx, 1), traced_argument(&ctx, 2));
    }
    0
}

#[kprobe(function = "unmap_mapping_range")]
pub fn unmap_mapping_range_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(device) = filter::device_of_inode_mapping(probed_argument(&ctx, 0)) {
        zap::report(device, probed_argument(&ctx, 1), probed_argument(&ctx, 2));
    }
    0
}
