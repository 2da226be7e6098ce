//! The targets of eventfd contexts: stored inside a `SET_IRQS`, removed when a later one succeeds.
#![expect(
    unsafe_code,
    reason = "references into map values; fills a record behind a raw pointer"
)]

use aya_ebpf::helpers::generated::bpf_loop;
use remap_common::{
    counter::Counter,
    record::{Context, Origin, Role, Target, UNKNOWN_INDEX, Wire},
    uapi::{
        VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK,
        VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE, vfio_device_feature, vfio_irq_set,
    },
};

use crate::{
    emit::{self, Loss, Run, Subject},
    filter,
    maps::{CONTEXTS, DISPLACED, Displaced, EXISTING_ONLY, Ioctl, PREVIOUS, SLOTS, Slot},
    read,
};

/// The most sub-indexes that a call can name: MSI-X has no more.
const MOST: u32 = 2048;

/// The role that the flags of a `SET_IRQS` give to its eventfds.
#[inline(always)]
pub fn role_of(flags: u32) -> Role {
    if flags & VFIO_IRQ_SET_ACTION_UNMASK != 0 {
        Role::Unmask
    } else if flags & VFIO_IRQ_SET_ACTION_MASK != 0 {
        Role::Mask
    } else {
        Role::Trigger
    }
}

/// Puts a context into a slot. Returns false if a map is full, and counts that.
#[inline(always)]
fn place(slot: &Slot, context: u64, target: &Target) -> bool {
    let placed =
        SLOTS.insert(slot, context, 0).is_ok() && CONTEXTS.insert(context, target, 0).is_ok();
    if !placed {
        emit::lose(Counter::ContextsFull, Loss::of(target.device));
    }
    placed
}

/// Stores the target of a context. If the call fails, [`restore`] needs what was before: the context
/// that had the slot, in [`PREVIOUS`], and the target that the context had, in [`DISPLACED`]. These maps drop
/// the least used slot by themselves. Returns false if a map is full, and counts that.
#[inline(always)]
pub fn learn(context: u64, target: &Target) -> bool {
    let slot = Slot::of(target);
    // SAFETY: map values live until the program ends.
    if let Some(old) = unsafe { SLOTS.get(slot) }.copied() {
        let _ = PREVIOUS.insert(slot, old, 0);
    }
    // SAFETY: as above.
    if let Some(before) = unsafe { CONTEXTS.get(context) }.copied() {
        let displaced = Displaced {
            context,
            target: before,
        };
        let _ = DISPLACED.insert(slot, displaced, 0);
    }
    if !place(&slot, context, target) {
        return false;
    }
    filter::learn_context(context);
    true
}

/// Stores the target of a context from before the trace, unless a call has filled its slot since.
/// Returns whether it was stored.
#[inline(always)]
pub fn adopt(context: u64, target: &Target) -> bool {
    // The flag first: from here on the hooks see its last reference being dropped.
    filter::learn_context(context);
    let slot = Slot::of(target);
    // SAFETY: map values live until the program ends.
    if unsafe { SLOTS.get(slot) }.is_some() {
        return false;
    }
    place(&slot, context, target)
}

/// The target of the eventfd that signals the wakeup of a device.
#[inline(always)]
pub fn wakeup_of(device: u64) -> Target {
    Target {
        device,
        index: UNKNOWN_INDEX,
        sub: 0,
        role: Role::Wakeup.wire(),
        generation: filter::generation(device, UNKNOWN_INDEX),
    }
}

/// A `VFIO_DEVICE_FEATURE` has succeeded: if it was LOW_POWER_ENTRY_WITH_WAKEUP, its eventfd replaces
/// the device's wakeup eventfd.
#[inline(always)]
pub fn settle_wakeup(run: Run, call: &Ioctl) {
    let context = call.wakeup_context;
    if context == 0 {
        return;
    }
    let target = wakeup_of(call.device);
    if replace(context, &target) {
        // struct vfio_device_feature: argsz, flags; behind it the eventfd.
        let fd = call.word(vfio_device_feature::DATA).cast_signed();
        report(run, &Subject::current(), context, &target, fd, Origin::Seen);
    }
}

/// Stores the target of a context that replaces the one in its slot. Returns false if a map is full,
/// and counts that.
#[inline(always)]
fn replace(context: u64, target: &Target) -> bool {
    let slot = Slot::of(target);
    // SAFETY: map values live until the program ends.
    let old = unsafe { SLOTS.get(slot) }.copied();
    if !place(&slot, context, target) {
        return false;
    }
    filter::learn_context(context);
    if let Some(old) = old
        && old != context
    {
        forget_replaced(old);
    }
    true
}

/// Emits the target of a context and its origin. `fd` is -1 where no call named the eventfd.
#[inline(always)]
pub fn report(run: Run, subject: &Subject, context: u64, target: &Target, fd: i32, origin: Origin) {
    emit::emit_about(run, subject, Loss::of(target.device), || Context {
        context,
        target: *target,
        fd,
        origin: origin.wire(),
    });
}

/// Undoes [`adopt`]: the kernel has replaced or freed the context meanwhile.
#[inline(always)]
pub fn disown(context: u64, target: &Target) {
    forget_removed(&Slot::of(target), context);
}

/// A `SET_IRQS` has succeeded: removes the contexts that it disabled, removed or replaced.
#[inline(always)]
pub fn settle(call: &Ioctl) {
    let flags = call.word(vfio_irq_set::FLAGS);
    if flags == VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER
        && call.word(vfio_irq_set::COUNT) == 0
    {
        filter::next_generation(call.device, call.word(vfio_irq_set::INDEX));
        return;
    }
    if flags & VFIO_IRQ_SET_DATA_EVENTFD == 0 {
        return;
    }
    let mut slots = Slots::of(call, call.word(vfio_irq_set::COUNT));
    // SAFETY: the callback gets the number of the round and this pointer, which is valid until the call returns.
    unsafe {
        bpf_loop(
            slots.count,
            settle_one as *mut core::ffi::c_void,
            (&raw mut slots).cast(),
            0,
        );
    }
}

/// The slots that a call has set.
struct Slots {
    device: u64,
    /// The user's array.
    fds: u64,
    index: u32,
    start: u32,
    role: Wire<Role>,
    /// How many.
    count: u32,
}

impl Slots {
    /// The first `count` slots that a call names, as far as a call can name them.
    #[inline(always)]
    fn of(call: &Ioctl, count: u32) -> Self {
        Self {
            device: call.device,
            fds: call.pointer + vfio_irq_set::DATA as u64,
            index: call.word(vfio_irq_set::INDEX),
            start: call.word(vfio_irq_set::START),
            role: role_of(call.word(vfio_irq_set::FLAGS)).wire(),
            count: if count < MOST { count } else { MOST },
        }
    }

    #[inline(always)]
    fn at(&self, position: u32) -> Slot {
        Slot {
            device: self.device,
            index: self.index,
            sub: self.start.wrapping_add(position),
            role: self.role,
            zero: 0,
        }
    }
}

/// One round: the slot of one fd.
unsafe extern "C" fn settle_one(number: u64, slots: *mut Slots) -> i64 {
    // SAFETY: `settle` passes its own variable.
    let slots = unsafe { &*slots };
    let slot = slots.at(number as u32);
    // SAFETY: map values live until the program ends.
    if let Some(old) = unsafe { PREVIOUS.get(slot) }.copied() {
        let _ = PREVIOUS.remove(slot);
        forget_replaced(old);
    }
    let _ = DISPLACED.remove(slot);
    match read::user_word::<u32>(slots.fds + number * 4) {
        Some(u32::MAX) => {
            // SAFETY: as above.
            if let Some(old) = unsafe { SLOTS.get(slot) }.copied() {
                forget_removed(&slot, old);
            }
        }
        Some(_) => {}
        None => emit::lose(Counter::Unreadable, Loss::of(slots.device)),
    }
    0
}

/// A `SET_IRQS` has failed: each slot that it has set gets back what it had.
#[inline(always)]
pub fn restore(call: &Ioctl) {
    let flags = call.word(vfio_irq_set::FLAGS);
    if flags & VFIO_IRQ_SET_DATA_EVENTFD == 0 {
        return;
    }
    let mut slots = Slots::of(call, call.cursor);
    // SAFETY: as in `settle`.
    unsafe {
        bpf_loop(
            slots.count,
            restore_one as *mut core::ffi::c_void,
            (&raw mut slots).cast(),
            0,
        );
    }
}

/// One round: the slot of one fd, the last one first, since a context may be in several.
unsafe extern "C" fn restore_one(number: u64, slots: *mut Slots) -> i64 {
    // SAFETY: `restore` passes its own variable.
    let slots = unsafe { &*slots };
    let position = slots.count.wrapping_sub(1).wrapping_sub(number as u32);
    if read::user_word::<u32>(slots.fds + u64::from(position) * 4) == Some(u32::MAX) {
        return 0;
    }
    let slot = slots.at(position);
    // SAFETY: map values live until the program ends.
    let Some(context) = (unsafe { SLOTS.get(slot) }).copied() else {
        return 0;
    };
    // SAFETY: as above.
    if let Some(old) = unsafe { PREVIOUS.get(slot) }.copied() {
        let _ = SLOTS.insert(slot, old, 0);
        let _ = PREVIOUS.remove(slot);
    } else {
        let _ = SLOTS.remove(slot);
    }
    // SAFETY: as above.
    if let Some(displaced) = unsafe { DISPLACED.get(slot) }.copied() {
        // `BPF_EXIST`: the kernel may have dropped the context meanwhile.
        let _ = CONTEXTS.insert(displaced.context, displaced.target, EXISTING_ONLY);
        let _ = DISPLACED.remove(slot);
    } else {
        forget_replaced(context);
    }
    0
}

/// Removes a context if another one is in its slot now.
#[inline(always)]
fn forget_replaced(old: u64) {
    // SAFETY: map values live until the program ends.
    let Some(target) = (unsafe { CONTEXTS.get(old) }) else {
        return;
    };
    // SAFETY: as above.
    let holder = unsafe { SLOTS.get(Slot::of(target)) }.copied();
    if holder != Some(old) {
        let _ = CONTEXTS.remove(old);
    }
}

/// Removes a context and empties its slot.
#[inline(always)]
fn forget_removed(slot: &Slot, old: u64) {
    let _ = SLOTS.remove(slot);
    forget_replaced(old);
}
