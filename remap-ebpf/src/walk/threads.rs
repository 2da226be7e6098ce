//! Visits every thread (`bpf_iter__task`), and stores what those do that user space asks about: the
//! system call that a blocked thread is in. `/proc` shows the same to those who have rights over the
//! thread; a trace has given them up.
//! Impact without it: a call whose return was lost is counted only once its thread has exited.

use aya_ebpf::{bindings::task_struct, helpers::generated::bpf_task_pt_regs};
use remap_common::walk::{
    Thread,
    thread::{BLOCKED, DEAD, UNKNOWN},
};

use super::visited;
use crate::{maps, read};

/// `struct bpf_iter__task`: meta, task.
const TASK: usize = 8;

/// `TASK_DEAD` (include/linux/sched.h).
const TASK_DEAD: u32 = 0x80;

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
#[expect(
    unsafe_code,
    reason = "the loader finds the program by section and symbol; a typed pointer is read for a helper"
)]
pub extern "C" fn walk_threads(context: *mut core::ffi::c_void) -> i32 {
    let at = visited(context, TASK);
    let Some(key) = read::thread_of(at) else {
        return 0;
    };
    let Some(found) = maps::THREADS.get_ptr_mut(key) else {
        return 0;
    };
    let task: *mut task_struct;
    // The verifier types what is loaded here, which the helper needs, and admits no load from an address
    // that was computed from the context's. So it is one instruction.
    // SAFETY: the second word of the context.
    unsafe {
        core::arch::asm!("{task} = *(u64 *)({context} + 8)", context = in(reg) context, task = out(reg) task);
    }
    let thread = if task.is_null() {
        None
    } else {
        // SAFETY: a task that the iterator holds.
        let registers = unsafe { bpf_task_pt_regs(task) } as u64;
        blocked(at, registers)
    };
    let thread = thread.unwrap_or(Thread {
        state: UNKNOWN,
        ..Thread::default()
    });
    // SAFETY: a live value of the map; no other walk over threads runs.
    unsafe { found.write(thread) };
    0
}

/// The system call of a thread, if its registers are those of one.
#[inline(always)]
fn blocked(task: u64, registers: u64) -> Option<Thread> {
    let (state, on_cpu) = read::state_of(task)?;
    if state & TASK_DEAD != 0 {
        return Some(Thread {
            state: DEAD,
            ..Thread::default()
        });
    }
    if state == 0 || on_cpu != 0 {
        return None;
    }
    let call = read::system_call(registers)?;
    // It has not run meanwhile.
    let (still, on_cpu) = read::state_of(task)?;
    (still == state && on_cpu == 0).then_some(Thread {
        state: BLOCKED,
        number: call.number,
        arguments: call.arguments,
        place: call.place,
    })
}
