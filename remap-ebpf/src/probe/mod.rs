//! One file for each hook: what it traces, what it emits, and the impact without it.
//!
//! A function of the core kernel has two forms, fentry/fexit and kprobe/kretprobe, and user space
//! attaches one of them. A function of a module has the latter only: aya cannot name a function
//! of a module's split BTF.

mod dma;
mod eventfd_ctx_do_read;
mod eventfd_ctx_fdget;
mod eventfd_ctx_put;
mod eventfd_read;
mod eventfd_release;
mod eventfd_signal;
mod eventfd_write;
mod fault;
mod migration_data;
mod module;
mod node;
mod unmap;
mod unmap_mapping_range;
mod vfio_ioctl;
mod vfio_mmap;
mod vfio_release;
mod vfio_write;
mod zap_vma;

pub use vfio_ioctl::introduce_as;

use aya_ebpf::{
    EbpfContext,
    helpers::generated,
    programs::{ProbeContext, RetProbeContext},
};

/// Argument `n` of a function under fentry or fexit. Fetched by helper: a load from the context
/// is typed for the verifier and cannot be used as a plain address.
#[inline(always)]
#[expect(unsafe_code, reason = "the helper writes through a pointer")]
fn traced_argument(context: &impl EbpfContext, n: u32) -> u64 {
    let mut value = 0;
    // SAFETY: `value` outlives the call; a position past the last one fails and leaves 0.
    unsafe { generated::bpf_get_func_arg(context.as_ptr(), n, &raw mut value) };
    value
}

/// The return value of a function under fexit.
#[inline(always)]
#[expect(unsafe_code, reason = "the helper writes through a pointer")]
fn traced_return(context: &impl EbpfContext) -> u64 {
    let mut value = 0;
    // SAFETY: `value` outlives the call.
    unsafe { generated::bpf_get_func_ret(context.as_ptr(), &raw mut value) };
    value
}

/// Argument `n` of a function under kprobe.
#[inline(always)]
fn probed_argument(context: &ProbeContext, n: usize) -> u64 {
    context.arg(n).unwrap_or(0)
}

/// The return value of a function under kretprobe.
#[inline(always)]
fn probed_return(context: &RetProbeContext) -> u64 {
    context.ret()
}

/// Whether a returned pointer is an errno (`IS_ERR`) or null.
#[inline(always)]
const fn is_no_pointer(value: u64) -> bool {
    value == 0 || value >= u64::MAX - 4094
}
