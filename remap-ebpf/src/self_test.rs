//! The self-test: one program of each form on the system call eventfd2(2). User space makes a call with
//! a value of its own, and finds it counted as long as the kernel runs programs of that form.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};
use remap_common::{counter::Counter, self_test::TOKEN};

use crate::{
    emit,
    probe::{probed_argument, traced_argument},
    read,
};

/// Offset of `di`, the first argument of a system call, in `struct pt_regs` of x86_64. The layout is a
/// part of the kernel's uAPI (ptrace).
const DI: u64 = 14 * 8;

#[fentry]
pub fn self_test_fentry(ctx: FEntryContext) -> u32 {
    called(traced_argument(&ctx, 0), Counter::TestTraced)
}

#[kprobe]
pub fn self_test_kprobe(ctx: ProbeContext) -> u32 {
    called(probed_argument(&ctx, 0), Counter::TestProbed)
}

/// `__x64_sys_eventfd2` gets the registers of its caller.
#[inline(always)]
fn called(registers: u64, counter: Counter) -> u32 {
    if read::kernel_word(registers + DI).is_some_and(|count| count as u32 == TOKEN) {
        emit::count(counter);
    }
    0
}
