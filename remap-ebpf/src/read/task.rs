//! The current task, and what runs on this CPU.
#![expect(unsafe_code, reason = "helpers are unsafe to call")]

use aya_ebpf::helpers::{bpf_get_current_task, bpf_get_smp_processor_id};
use remap_common::record::Tristate;

use super::word;

/// `PF_EXITING` (`include/linux/sched.h`).
const EXITING: u32 = 0x4;
/// `PF_KTHREAD`: a kernel thread may close a file when it drops the last reference.
const KERNEL_THREAD: u32 = 0x20_0000;

/// The current `struct task_struct`.
#[inline(always)]
pub fn current() -> u64 {
    // SAFETY: the helper takes nothing and returns an address.
    unsafe { bpf_get_current_task() }
}

/// Whether the current process exits.
#[inline(always)]
pub fn is_exiting() -> Tristate {
    let Some(flags) = word::<u32>(current(), layout!(task_flags)) else {
        return Tristate::Unknown;
    };
    if flags & KERNEL_THREAD != 0 {
        Tristate::Unknown
    } else if flags & EXITING != 0 {
        Tristate::Yes
    } else {
        Tristate::No
    }
}

/// Whether the current task runs, and no interrupt on top of it (`in_task()`).
#[inline(always)]
pub fn in_task() -> Tristate {
    let offsets = address!(cpu_offsets);
    // SAFETY: the helper takes nothing and returns a number.
    let cpu = u64::from(unsafe { bpf_get_smp_processor_id() });
    if offsets == 0 {
        return Tristate::Unknown;
    }
    let Some(base) = word::<u64>(offsets + cpu * 8, 0) else {
        return Tristate::Unknown;
    };
    let Some(count) = word::<u32>(base.wrapping_add(address!(preempt_count)), 0) else {
        return Tristate::Unknown;
    };
    if count & layout!(interrupt_bits) == 0 {
        Tristate::Yes
    } else {
        Tristate::No
    }
}
