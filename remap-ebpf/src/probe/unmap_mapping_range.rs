//! Traces `unmap_mapping_range` (mm/memory.c): all mappings of a part of a file lose their pages.
//! From 6.10 on (aac6db75a9fc) a device zaps its regions this way, by its inode mapping.
//! Emits `Zap`. Without it the reason why a region faults again is not seen.
//!
//! File systems call it too, whenever a file is truncated: a flag filters their inode mappings out.

use crate::{filter, zap};

at_entry!(
    unmap_mapping_range_fentry,
    unmap_mapping_range_kprobe,
    run,
    |argument| {
        if let Some(device) = filter::device_of_inode_mapping(argument(0)) {
            zap::report(run, device, argument(1), argument(2));
        }
    }
);
