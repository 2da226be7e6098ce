//! The only user of the ring: reserve, fill, submit, and count and place whatever does not get through.
//! With `--perf-events` each record that gets into the ring is passed on to other readers too.
#![expect(
    unsafe_code,
    reason = "reserved ring memory is filled through a raw pointer; helpers are unsafe to call"
)]

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE},
    helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns, generated},
    macros::map,
    maps::{Array, HashMap, RingBuf},
};
use remap_common::{
    counter::{Counter, STRIDE},
    loss,
    record::{Frame, Header, LostKind, NAME_BYTES, Record, Role, Target},
    uapi::VFIO_PCI_NUM_IRQS,
};

pub use crate::run::Run;
use crate::{perf_events, phase};

/// All records, in the order in which they were reserved. User space chooses the size.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// For each CPU a line of [`STRIDE`] words, one for each counter. User space sets the number of CPUs
/// and maps the array into its memory.
#[map]
static COUNTERS: Array<u64> = Array::with_max_entries(STRIDE, BPF_F_MMAPABLE);

/// Where records were lost ([`remap_common::loss`]). User space sets the number of CPUs and maps the
/// array into its memory.
#[map]
static LOSSES: Array<u64> = Array::with_max_entries(loss::words(1), BPF_F_MMAPABLE);

/// Slot → the device that has it: an insertion decides which of two programs is first.
#[map]
static LOSS_SLOTS: HashMap<u32, u64> = HashMap::with_max_entries(loss::SLOTS, 0);

/// What is lost if a record does not get through.
#[derive(Clone, Copy)]
pub struct Loss {
    /// 0: not known.
    device: u64,
    kind: LostKind,
}

impl Loss {
    /// It can have been anything, about any device.
    pub const UNKNOWN: Self = Self::of(0);

    /// It can have been anything, about this device.
    #[inline(always)]
    pub const fn of(device: u64) -> Self {
        Self::kind(device, LostKind::Other)
    }

    /// A record of this kind, about this device.
    #[inline(always)]
    pub const fn kind(device: u64, kind: LostKind) -> Self {
        Self { device, kind }
    }

    /// A signal (or `kind`: something else) of an eventfd.
    #[inline(always)]
    pub fn eventfd(target: &Target, kind: LostKind) -> Self {
        let interrupt = target.index < VFIO_PCI_NUM_IRQS && target.role == Role::Trigger.wire();
        Self {
            device: target.device,
            kind: if interrupt { LostKind::Interrupt } else { kind },
        }
    }

    /// The part of the ring that records of this kind leave free for others, as a divisor of its size:
    /// a flood of interrupts or faults must not displace calls and acks. 0: none.
    #[inline(always)]
    const fn reserve(self) -> u64 {
        match self.kind {
            LostKind::Interrupt => 2,
            LostKind::Fault | LostKind::Data | LostKind::Consumed => 4,
            LostKind::Signal | LostKind::Read | LostKind::Other => 0,
        }
    }
}

/// Stores where a record was lost.
#[inline(never)]
fn place(device: u64, kind: u32, time_ns: u64) {
    // The slot first: what is held meanwhile takes stack, of which the kernel allows a program and what it
    // calls 512 bytes together.
    let slot = slot_of(device);
    // SAFETY: the helper takes nothing and returns a number.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let at = loss::slot_at(cpu, slot);
    if let Some(last_ns) = LOSSES.get_ptr_mut(at + loss::LAST_NS) {
        // SAFETY: a live, aligned word of this CPU.
        unsafe { last_ns.write_volatile(time_ns) };
    }
    add_one(&LOSSES, at + kind);
}

/// How many slots are tried for a device.
const TRIES: u32 = 4;

/// The slot of a device; slot 0 where its slots are taken.
#[inline(always)]
fn slot_of(device: u64) -> u32 {
    if device == 0 {
        return 0;
    }
    for n in 0..TRIES {
        let slot = 1 + ((device >> 6) as u32).wrapping_add(n) % (loss::SLOTS - 1);
        let Some(owner) = LOSSES.get_ptr_mut(slot) else {
            return 0;
        };
        // SAFETY: a live, aligned word. It changes once, from 0 to the device that has the slot.
        if unsafe { owner.read_volatile() } == device {
            return slot;
        }
        if LOSS_SLOTS.insert(slot, device, NEW_ONLY).is_ok() {
            // SAFETY: as above.
            unsafe { owner.write_volatile(device) };
            return slot;
        }
    }
    0
}

/// `BPF_NOEXIST`: an insertion fails where there is an entry.
pub const NEW_ONLY: u64 = 1;

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
    add_one(&COUNTERS, cpu * STRIDE + counter as u32);
}

/// Adds one to a word of an array.
#[inline(always)]
fn add_one(words: &Array<u64>, at: u32) {
    if let Some(value) = words.get_ptr_mut(at) {
        // An interrupt's program may come between load and store, so the addition is one
        // instruction. The BPF target of core offers no read-modify-write, hence the assembly.
        // SAFETY: a live, aligned word of this CPU.
        unsafe {
            core::arch::asm!("lock *(u64 *)({slot} + 0) += {one}", slot = in(reg) value, one = in(reg) 1u64);
        }
    }
}

/// Something that should have become a record is lost before it could be made.
#[inline(always)]
pub fn lose(reason: Counter, loss: Loss) {
    if phase::has_ended() {
        return;
    }
    count(Counter::Seen);
    fail(reason, loss, now());
}

/// A record that was counted as seen does not get through. Its place comes first: once the losses add
/// up, all are placed.
#[inline(always)]
fn fail(reason: Counter, loss: Loss, time_ns: u64) {
    place(loss.device, loss.kind as u32, time_ns);
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
pub fn emit<T: Record<Trail = ()>>(run: Run, loss: Loss, body: impl FnOnce() -> T) -> bool {
    emit_about(run, &Subject::current(), loss, body)
}

/// The same about any task.
#[inline(always)]
pub fn emit_about<T: Record<Trail = ()>>(
    run: Run,
    subject: &Subject,
    loss: Loss,
    body: impl FnOnce() -> T,
) -> bool {
    emit_in_place(run, subject, loss, |_| body())
}

/// The same about the current task, at a time that has just passed. Only where the kernel does not
/// preempt the program: in a kprobe.
#[inline(always)]
pub fn emit_at<T: Record<Trail = ()>>(
    run: Run,
    time_ns: u64,
    loss: Loss,
    body: impl FnOnce() -> T,
) -> bool {
    if phase::has_ended() {
        return false;
    }
    count(Counter::Seen);
    send(run, &Subject::current(), time_ns, loss, |_| body())
}

/// The same about any task, now, of a kind with a trail: `body` fills that in place, as far as its
/// fields say.
#[inline(always)]
pub fn emit_in_place<T: Record>(
    run: Run,
    subject: &Subject,
    loss: Loss,
    body: impl FnOnce(&mut MaybeUninit<T::Trail>) -> T,
) -> bool {
    if phase::has_ended() {
        return false;
    }
    // In this order: a reader of the counter expects a record of all that was counted before a time,
    // also of a program that loses its processor between the two.
    count(Counter::Seen);
    send(run, subject, now(), loss, body)
}

#[inline(always)]
fn send<T: Record>(
    run: Run,
    subject: &Subject,
    time_ns: u64,
    loss: Loss,
    body: impl FnOnce(&mut MaybeUninit<T::Trail>) -> T,
) -> bool {
    if !has_room(loss) {
        fail(Counter::RingFull, loss, time_ns);
        return false;
    }
    let Some(mut entry) = RECORDS.reserve::<Frame<T>>(0) else {
        fail(Counter::RingFull, loss, time_ns);
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
        if perf_events::are_on() {
            perf_events::clear(trail);
        }
        (&raw mut (*frame).body).write(body(trail));
    }
    if perf_events::are_on() {
        perf_events::pass_on(run, frame);
    }
    entry.submit(0);
    count(Counter::Sent);
    true
}

/// Whether a record may use what is left of the ring.
#[inline(always)]
fn has_room(loss: Loss) -> bool {
    let reserve = loss.reserve();
    if reserve == 0 {
        return true;
    }
    let size = RECORDS.query(BPF_RB_RING_SIZE.into());
    RECORDS.query(BPF_RB_AVAIL_DATA.into()) < size - size / reserve
}

/// Notes that this thread is in a call of some kind. A call that never reported its return, and
/// one that there is no room for, are counted.
#[inline(always)]
pub fn begin<V>(calls: &HashMap<u64, V>, loss: Loss, call: &V) {
    let thread = thread();
    if calls.get_ptr(thread).is_some() {
        lose(Counter::ReturnMissed, loss);
    }
    if calls.insert(thread, call, 0).is_err() {
        lose(Counter::CallsFull, loss);
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
            lose(Counter::Unreadable, Loss::UNKNOWN);
            None
        }
    }
}

/// A name that could not be read.
pub const NO_NAME: [u8; NAME_BYTES] = [0; NAME_BYTES];
