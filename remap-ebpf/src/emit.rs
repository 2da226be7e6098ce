//! The only user of the ring: reserve, fill, submit, and count whatever does not get through.
#![expect(
    unsafe_code,
    reason = "reserved ring memory is filled through a raw pointer"
)]

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns,
    },
    macros::map,
    maps::{Array, HashMap, RingBuf},
};
use remap_common::{
    counter::{Counter, STRIDE},
    record::{Header, NAME_BYTES, Target},
};

/// All records, in the order in which they were reserved. User space chooses the size.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// For each CPU a line of [`STRIDE`] words, one for each counter. User space sets the number of CPUs
/// and maps the array into its memory.
#[map]
static COUNTERS: Array<u64> = Array::with_max_entries(STRIDE, BPF_F_MMAPABLE);

/// Now, CLOCK_MONOTONIC ns.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes nothing and returns a number.
    unsafe { bpf_ktime_get_ns() }
}

/// The current thread: tgid in the upper half, tid in the lower.
#[inline(always)]
pub fn thread() -> u64 {
    bpf_get_current_pid_tgid()
}

/// Adds one to a counter of this CPU.
#[inline(always)]
pub fn count(counter: Counter) {
    // SAFETY: the helper takes nothing and returns a number.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    if let Some(value) = COUNTERS.get_ptr_mut(cpu * STRIDE + counter as u32) {
        // An interrupt's program may come between load and store, so the addition is one
        // instruction. The BPF target of core offers no read-modify-write, hence the assembly.
        // SAFETY: a live, aligned slot of this CPU.
        unsafe {
            core::arch::asm!("lock *(u64 *)({slot} + 0) += {one}", slot = in(reg) value, one = in(reg) 1u64);
        }
    }
}

/// Something that should have become a record is lost before it could be made.
#[inline(always)]
pub fn lose(reason: Counter) {
    count(Counter::Seen);
    count(reason);
}

/// The task that a record is about.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Subject {
    pub pid: u32,
    pub tid: u32,
    pub comm: [u8; 16],
}

impl Subject {
    /// The current task.
    #[inline(always)]
    pub fn current() -> Self {
        let thread = thread();
        Self {
            pid: (thread >> 32) as u32,
            tid: thread as u32,
            comm: bpf_get_current_comm().unwrap_or([0; 16]),
        }
    }
}

/// Sends one record of type `T` about the current task, now. `fill` gets the memory behind the header,
/// uninitialised: it must write every field but the header. Answers whether it went through.
///
/// # Safety
/// `T` begins with a [`Header`] and is a record of `remap_common::record`.
#[inline(always)]
pub unsafe fn emit<T: 'static>(kind: u32, fill: impl FnOnce(*mut T)) -> bool {
    // SAFETY: the caller's promise.
    unsafe { emit_about(&Subject::current(), kind, fill) }
}

/// The same about any task.
///
/// # Safety
/// As [`emit`].
#[inline(always)]
pub unsafe fn emit_about<T: 'static>(
    subject: &Subject,
    kind: u32,
    fill: impl FnOnce(*mut T),
) -> bool {
    // In this order: a reader of the counter expects a record of all that was counted before a time,
    // also of a program that loses its processor between the two.
    count(Counter::Seen);
    let time_ns = now();
    // SAFETY: the caller's promise.
    unsafe { send(subject, kind, time_ns, fill) }
}

/// The same about the current task, at a time that has just passed. Only where the kernel does not
/// preempt the program: in a kprobe.
///
/// # Safety
/// As [`emit`].
#[inline(always)]
pub unsafe fn emit_at<T: 'static>(kind: u32, time_ns: u64, fill: impl FnOnce(*mut T)) -> bool {
    count(Counter::Seen);
    // SAFETY: the caller's promise.
    unsafe { send(&Subject::current(), kind, time_ns, fill) }
}

#[inline(always)]
unsafe fn send<T: 'static>(
    subject: &Subject,
    kind: u32,
    time_ns: u64,
    fill: impl FnOnce(*mut T),
) -> bool {
    let Some(mut entry) = RECORDS.reserve::<T>(0) else {
        count(Counter::RingFull);
        return false;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` is writable for size_of::<T>() bytes and begins with a header.
    unsafe {
        let header = record.cast::<Header>();
        (*header).kind = kind;
        (*header).cpu = bpf_get_smp_processor_id();
        (*header).time_ns = time_ns;
        (*header).pid = subject.pid;
        (*header).tid = subject.tid;
        (*header).comm = subject.comm;
    }
    fill(record);
    entry.submit(0);
    count(Counter::Sent);
    true
}

/// Copies a target field by field: the verifier tracks words better than a block copy.
///
/// # Safety
/// `to` is writable.
#[inline(always)]
pub unsafe fn put_target(to: *mut Target, from: &Target) {
    // SAFETY: the caller's promise.
    unsafe {
        (*to).device = from.device;
        (*to).index = from.index;
        (*to).sub = from.sub;
        (*to).role = from.role;
        (*to).generation = from.generation;
    }
}

/// Notes that this thread is in a call of some kind. A call that never reported its return, and
/// one that there is no room for, are counted.
#[inline(always)]
pub fn begin<V>(calls: &HashMap<u64, V>, call: &V) {
    let thread = thread();
    if calls.get_ptr(thread).is_some() {
        lose(Counter::ReturnMissed);
    }
    if calls.insert(thread, call, 0).is_err() {
        lose(Counter::CallsFull);
    }
}

/// A name that could not be read.
pub const NO_NAME: [u8; NAME_BYTES] = [0; NAME_BYTES];
