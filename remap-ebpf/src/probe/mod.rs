//! One file for each hook: what it traces, what it emits, and the impact without it.
//!
//! A function of the core kernel has two forms, fentry/fexit and kprobe/kretprobe, and user space
//! attaches one of them. A function of a module has the latter only: aya cannot name a function
//! of a module's split BTF.

/// Declares a program by its form, its name and a closure: at the entry of a function over its
/// arguments by position, under fexit over these and the return value, under kretprobe over the
/// return value. One that emits names its run before the closure.
macro_rules! program {
    (fentry, $name:ident, $($run:ident,)? |$argument:ident| $body:expr) => {
        #[aya_ebpf::macros::fentry]
        pub fn $name(ctx: aya_ebpf::programs::FEntryContext) -> u32 {
            $(let $run = $crate::emit::Run::of(&ctx);)?
            let $argument = |n| $crate::probe::traced_argument(&ctx, n);
            let _ = $body;
            0
        }
    };
    (fexit, $name:ident, $($run:ident,)? |$argument:ident, $result:ident| $body:expr) => {
        #[aya_ebpf::macros::fexit]
        pub fn $name(ctx: aya_ebpf::programs::FExitContext) -> u32 {
            $(let $run = $crate::emit::Run::of(&ctx);)?
            let $argument = |n| $crate::probe::traced_argument(&ctx, n);
            let $result = $crate::probe::traced_return(&ctx);
            let _ = $body;
            0
        }
    };
    (kprobe, $name:ident, $($run:ident,)? |$argument:ident| $body:expr) => {
        #[aya_ebpf::macros::kprobe]
        pub fn $name(ctx: aya_ebpf::programs::ProbeContext) -> u32 {
            $(let $run = $crate::emit::Run::of(&ctx);)?
            let $argument = |n| $crate::probe::probed_argument(&ctx, n);
            let _ = $body;
            0
        }
    };
    (kretprobe, $name:ident, $($run:ident,)? |$result:ident| $body:expr) => {
        #[aya_ebpf::macros::kretprobe]
        pub fn $name(ctx: aya_ebpf::programs::RetProbeContext) -> u32 {
            $(let $run = $crate::emit::Run::of(&ctx);)?
            let $result = $crate::probe::probed_return(&ctx);
            let _ = $body;
            0
        }
    };
}

/// Declares both forms of a program at the entry of a function of the core kernel.
macro_rules! at_entry {
    ($fentry:ident, $kprobe:ident, $($run:ident,)? |$argument:ident| $body:expr) => {
        program!(fentry, $fentry, $($run,)? |$argument| $body);
        program!(kprobe, $kprobe, $($run,)? |$argument| $body);
    };
}

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
mod vfio_request;
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
pub fn traced_argument(context: &impl EbpfContext, n: u32) -> u64 {
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
pub fn probed_argument(context: &ProbeContext, n: u32) -> u64 {
    context.arg(n as usize).unwrap_or(0)
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
