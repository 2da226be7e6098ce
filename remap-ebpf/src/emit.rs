//! The only user of the ring: reserve, fill, submit, and count whatever does not get through.
#![expect(
    unsafe_code,
    reason = "reserved ring memory is filled through a raw pointer; helpers are unsafe to call"
)]

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns, generated},
    macros::map,
    maps::{Array, HashMap, RingBuf},
};
use remap_common::{
    counter::{Counter, STRIDE},
    record::{Frame, Header, NAME_BYTES, Record},
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

/// The task that a record is about. Aligned, so that the name is copied in words.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
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
        let mut subject = Self {
            pid: (thread >> 32) as u32,
            tid: thread as u32,
            comm: [0; 16],
        };
        let comm = &mut subject.comm;
        // SAFETY: the helper writes no more than the length. Where it fails, the name stays empty.
        unsafe {
            generated::bpf_get_current_comm(comm.as_mut_ptr().cast(), comm.len() as u32);
        }
        subject
    }
}

/// Sends one record about the current task, now. `body` is asked once there is room in the ring, so
/// that what it puts together is stored there directly. Returns whether the record was sent.
#[inline(always)]
pub fn emit<T: Record<Trail = ()>>(body: impl FnOnce() -> T) -> bool {
    emit_about(&Subject::current(), body)
}

/// The same about any task.
#[inline(always)]
pub fn emit_about<T: Record<Trail = ()>>(subject: &Subject, body: impl FnOnce() -> T) -> bool {
    emit_in_place(subject, |_| body())
}

/// The same about the current task, at a time that has just passed. Only where the kernel does not
/// preempt the program: in a kprobe.
#[inline(always)]
pub fn emit_at<T: Record<Trail = ()>>(time_ns: u64, body: impl FnOnce() -> T) -> bool {
    count(Counter::Seen);
    send(&Subject::current(), time_ns, |_| body())
}

/// The same about any task, now, of a kind with a trail: `body` fills that in place, as far as its
/// fields say.
#[inline(always)]
pub fn emit_in_place<T: Record>(
    subject: &Subject,
    body: impl FnOnce(&mut MaybeUninit<T::Trail>) -> T,
) -> bool {
    // In this order: a reader of the counter expects a record of all that was counted before a time,
    // also of a program that loses its processor between the two.
    count(Counter::Seen);
    send(subject, now(), body)
}

#[inline(always)]
fn send<T: Record>(
    subject: &Subject,
    time_ns: u64,
    body: impl FnOnce(&mut MaybeUninit<T::Trail>) -> T,
) -> bool {
    let Some(mut entry) = RECORDS.reserve::<Frame<T>>(0) else {
        count(Counter::RingFull);
        return false;
    };
    let header = Header {
        kind: T::KIND,
        // SAFETY: the helper takes nothing and returns a number.
        cpu: unsafe { bpf_get_smp_processor_id() },
        time_ns,
        pid: subject.pid,
        tid: subject.tid,
        comm: subject.comm,
    };
    let frame = entry.as_mut_ptr();
    // SAFETY: `frame` is writable for a whole frame; a trail may stay uninitialised as a `MaybeUninit`.
    // A frame has no padding, and these are its parts.
    unsafe {
        (&raw mut (*frame).header).write(header);
        let trail = &mut *(&raw mut (*frame).trail).cast();
        (&raw mut (*frame).body).write(body(trail));
    }
    entry.submit(0);
    count(Counter::Sent);
    true
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

/// The call of some kind that this thread is in.
#[inline(always)]
pub fn call_in<V>(calls: &HashMap<u64, V>) -> Option<&V> {
    // SAFETY: map values live until the program ends.
    unsafe { calls.get(thread()) }
}

/// The call of some kind that this thread is in returns: `report` gets it, and it is removed. Returns
/// whether there was one.
#[inline(always)]
pub fn end<V>(calls: &HashMap<u64, V>, report: impl FnOnce(&V)) -> bool {
    let thread = thread();
    // SAFETY: as above.
    let Some(call) = (unsafe { calls.get(thread) }) else {
        return false;
    };
    report(call);
    let _ = calls.remove(thread);
    true
}

/// A value that a record needs. One that could not be read is counted as a loss of that record.
#[inline(always)]
pub fn required<T>(value: Option<T>) -> Option<T> {
    match value {
        Some(value) => Some(value),
        None => {
            lose(Counter::Unreadable);
            None
        }
    }
}

/// A name that could not be read.
pub const NO_NAME: [u8; NAME_BYTES] = [0; NAME_BYTES];
