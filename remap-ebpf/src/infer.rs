//! Infers the targets of eventfds that no walk can find, because a vendor's driver keeps them in its
//! own structures. The first use of such an eventfd decides:
//!
//! * the kernel signals it on a thread that is inside a call on the device, or
//! * a thread reads it, and the next call of that thread asks again for the description of a
//!   region that the counter named: its bit, or 1 where each region has its own eventfd.
//!
//! Both only for a device that was open before the trace and has a driver of its own: of any other
//! every eventfd is known. The index stays unknown. Emits `Context`.
#![expect(unsafe_code, reason = "references into map values")]

use remap_common::record::{Origin, Role, Target, Tristate, UNKNOWN_INDEX};
use remap_common::uapi::{VFIO_DEVICE_SET_IRQS, vfio_region_info};

use crate::{
    contexts,
    emit::{self, Run, Subject},
    filter,
    maps::{self, Ioctl, LAST_READS, LastRead, PRIOR, Slot},
    read,
};

/// How long after a read a requery may still be its consequence, ns.
const AT_ONCE_NS: u64 = 1_000_000_000;

/// How many inferred eventfds a device can have: their sub-indexes are counted up.
const MOST: u32 = 8;

/// An unknown context is signalled. Returns its target, if the call that the thread is in implies one.
#[inline(always)]
pub fn signalled(run: Run, context: u64) -> Option<&'static Target> {
    if !is_of_interest() || is_known(context) {
        return None;
    }
    if emit::call_in(&maps::IOCTLS).is_some_and(|call| call.request == VFIO_DEVICE_SET_IRQS) {
        // The user's own trigger, or one that was due when it unmasked.
        return None;
    }
    let device = maps::device_in_call()?;
    if !is_prior(device) || read::in_task() != Tristate::Yes {
        return None;
    }
    learn(run, context, device, Origin::SignalledInside);
    // SAFETY: see `filter::target_of`.
    unsafe { maps::CONTEXTS.get(context) }
}

/// An unknown context was read by user space.
#[inline(always)]
pub fn was_read(context: u64, value: Option<u64>) {
    let Some(value) = value else {
        return;
    };
    if !is_known(context) {
        let last = LastRead {
            context,
            value,
            time_ns: emit::now(),
        };
        // The map drops the least used thread by itself.
        let _ = LAST_READS.insert(emit::thread(), &last, 0);
    }
}

/// Whether reads of unknown eventfds by this process may imply a target.
#[inline(always)]
pub fn is_of_interest() -> bool {
    filter::something_is_prior() && filter::process_is_involved()
}

/// A call on a device that is no requery: it separates an earlier read from later requeries.
#[inline(always)]
pub fn interrupted() {
    if filter::something_is_prior() {
        let _ = LAST_READS.remove(emit::thread());
    }
}

/// A `GET_REGION_INFO` has succeeded.
#[inline(always)]
pub fn described(run: Run, call: &Ioctl) {
    if !filter::something_is_prior() || (call.argument_len as usize) < vfio_region_info::INDEX + 4 {
        return;
    }
    let region = call.word(vfio_region_info::INDEX);
    let place = place(call.device, region);
    // SAFETY: only the presence is of interest.
    let again = unsafe { maps::DESCRIBED.get(place) }.is_some();
    let thread = emit::thread();
    // SAFETY: the value is copied out before the entry is removed.
    if let Some(last) = unsafe { LAST_READS.get(thread) }.copied() {
        let _ = LAST_READS.remove(thread);
        let soon = emit::now() - last.time_ns < AT_ONCE_NS;
        if soon
            && again
            && is_prior(call.device)
            && names(last.value, region)
            && !is_known(last.context)
        {
            learn(run, last.context, call.device, Origin::ReadBeforeRequery);
        }
    }
    note_description(call.device, region);
}

/// User space has the description of a region: it called GET_REGION_INFO, or has a mapping.
#[inline(always)]
pub fn note_description(device: u64, region: u32) {
    // The map drops the least used region by itself.
    let _ = maps::DESCRIBED.insert(place(device, region), 1, 0);
}

#[inline(always)]
fn names(value: u64, region: u32) -> bool {
    value == 1 || (region < 64 && value >> region & 1 != 0)
}

#[inline(always)]
fn place(device: u64, region: u32) -> Slot {
    Slot {
        device,
        index: region,
        sub: filter::generation(device, maps::WHOLE_DEVICE),
        role: Role::Trigger.wire(),
        zero: 0,
    }
}

#[inline(always)]
fn is_prior(device: u64) -> bool {
    // SAFETY: values of this map are single bytes.
    unsafe { maps::DEVICES.get(device) }.copied() == Some(PRIOR)
}

/// Whether it has or had a target.
#[inline(always)]
fn is_known(context: u64) -> bool {
    // SAFETY: only the presence is of interest.
    filter::context_is_marked(context) && unsafe { maps::CONTEXTS.get(context) }.is_some()
}

#[inline(always)]
fn learn(run: Run, context: u64, device: u64, origin: Origin) {
    let mut target = Target {
        device,
        index: UNKNOWN_INDEX,
        sub: 0,
        role: Role::Trigger.wire(),
        generation: filter::generation(device, UNKNOWN_INDEX),
    };
    for sub in 0..MOST {
        target.sub = sub;
        if contexts::adopt(context, &target) {
            contexts::report(run, &Subject::current(), context, &target, -1, origin);
            return;
        }
    }
}
