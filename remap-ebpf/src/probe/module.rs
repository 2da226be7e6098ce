//! Traces the tracepoints `module_load` and `module_free` (include/trace/events/module.h).
//! Emits the modules' names to user space, in a ring of their own. Without it the functions of a
//! module that is loaded during a trace are not hooked.

use aya_ebpf::{
    macros::{map, raw_tracepoint},
    maps::RingBuf,
    programs::RawTracePointContext,
};
use remap_common::module::{Change, NAME_BYTES};

use crate::read;

/// The changes, oldest first.
#[map]
static MODULES: RingBuf = RingBuf::with_byte_size(16 << 10, 0);

#[raw_tracepoint(tracepoint = "module_load")]
pub fn module_load(ctx: RawTracePointContext) -> i32 {
    changed(ctx.arg(0), 1);
    0
}

#[raw_tracepoint(tracepoint = "module_free")]
pub fn module_free(ctx: RawTracePointContext) -> i32 {
    changed(ctx.arg(0), 0);
    0
}

/// A name that cannot be read is empty. A full ring loses the change, but user space still has earlier
/// ones to read, and then it checks all modules.
#[inline(always)]
fn changed(module: u64, loaded: u32) {
    let mut name = [0; NAME_BYTES];
    read::module_name(module, &mut name);
    let change = Change { name, loaded };
    let _ = MODULES.output::<Change>(change, 0);
}
