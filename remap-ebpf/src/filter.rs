//! Whether an event concerns a VFIO device: one flag in global data, before any map lookup.
#![expect(
    unsafe_code,
    reason = "global data that user space and the verifier see; references into map values"
)]

use core::cell::UnsafeCell;

use remap_common::{
    counter::Counter,
    filter::{CONTEXT_BITS, INODE_MAPPING_BITS, PROCESS_BITS, slot},
    record::Target,
};

use crate::{
    emit::{self, Loss},
    maps::{CONTEXTS, GENERATIONS, INODE_MAPPINGS, Index, MMS, OPERATIONS, WHOLE_DEVICE},
    read,
};

/// A flag for each hash value. All CPUs read and set them: a set is one byte store, which no
/// other store can undo, since nothing ever clears a flag.
#[repr(transparent)]
struct Flags<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: only single bytes are read and written, volatile.
unsafe impl<const N: usize> Sync for Flags<N> {}

impl<const N: usize> Flags<N> {
    const CLEAR: Self = Self(UnsafeCell::new([0; N]));

    #[inline(always)]
    fn at(&self, slot: u32) -> *mut u8 {
        // SAFETY: N is a power of two, so the masked index is within the array.
        unsafe { self.0.get().cast::<u8>().add(slot as usize & (N - 1)) }
    }

    #[inline(always)]
    fn test(&self, slot: u32) -> bool {
        // SAFETY: `at` is within the array.
        unsafe { self.at(slot).read_volatile() != 0 }
    }

    #[inline(always)]
    fn set(&self, slot: u32) {
        // SAFETY: as above.
        unsafe { self.at(slot).write_volatile(1) }
    }
}

/// The eventfd contexts of VFIO devices.
#[unsafe(no_mangle)]
static CONTEXT_FILTER: Flags<{ 1 << CONTEXT_BITS }> = Flags::CLEAR;

/// The processes that use a VFIO device.
#[unsafe(no_mangle)]
static PROCESS_FILTER: Flags<{ 1 << PROCESS_BITS }> = Flags::CLEAR;

/// The mms of processes that use a VFIO device.
#[unsafe(no_mangle)]
static MM_FILTER: Flags<{ 1 << PROCESS_BITS }> = Flags::CLEAR;

/// The inode mappings of devices.
#[unsafe(no_mangle)]
static INODE_MAPPING_FILTER: Flags<{ 1 << INODE_MAPPING_BITS }> = Flags::CLEAR;

/// 1 once a device may have unknown eventfds.
#[unsafe(no_mangle)]
static SOMETHING_IS_PRIOR: Flags<1> = Flags::CLEAR;

/// A device that was open before the trace has a driver of its own.
#[inline(always)]
pub fn learn_prior() {
    SOMETHING_IS_PRIOR.set(0);
}

/// Whether there is such a device.
#[inline(always)]
pub fn something_is_prior() -> bool {
    SOMETHING_IS_PRIOR.test(0)
}

/// Stores the file operations of VFIO devices, if user space could not find their address.
#[inline(always)]
pub fn learn_device_operations(operations: u64) {
    if let Some(known) = OPERATIONS.get_ptr_mut(0) {
        // SAFETY: an aligned word that lives as long as the programs. All CPUs read it often, so
        // it is written only where it changes.
        unsafe {
            if known.read_volatile() != operations {
                known.write_volatile(operations);
            }
        }
    }
}

/// Whether these file operations are a VFIO device's.
#[inline(always)]
pub fn are_device_operations(operations: u64) -> bool {
    let Some(known) = OPERATIONS.get_ptr(0) else {
        return false;
    };
    // SAFETY: as above.
    operations != 0 && operations == unsafe { known.read_volatile() }
}

/// The file of a VMA, if it is a VFIO device's.
#[inline(always)]
pub fn device_file_of_vma(vma: u64) -> Option<u64> {
    let file = read::file_of_vma(vma)?;
    if are_device_operations(read::operations_of(file)?) {
        Some(file)
    } else {
        None
    }
}

/// The target of a context; `None` for an eventfd of no VFIO device.
#[inline(always)]
pub fn target_of(context: u64) -> Option<&'static Target> {
    if !context_is_marked(context) {
        return None;
    }
    // SAFETY: values of this map are replaced as a whole; a torn read is not possible for a
    // pointer that the kernel keeps alive until the program ends.
    let target = unsafe { CONTEXTS.get(context) }?;
    let current = generation(target.device, target.index);
    if target.generation == current {
        Some(target)
    } else {
        None
    }
}

/// Whether a context may be a VFIO device's: the flag alone.
#[inline(always)]
pub fn context_is_marked(context: u64) -> bool {
    CONTEXT_FILTER.test(slot(context, CONTEXT_BITS))
}

/// Marks a context as a VFIO device's.
#[inline(always)]
pub fn learn_context(context: u64) {
    CONTEXT_FILTER.set(slot(context, CONTEXT_BITS));
}

/// Whether the current process has used a VFIO device since the programs were loaded.
#[inline(always)]
pub fn process_is_involved() -> bool {
    PROCESS_FILTER.test(slot(emit::thread() >> 32, PROCESS_BITS))
}

/// Marks the current process as a user of a VFIO device.
#[inline(always)]
pub fn involve_process() {
    involve(read::current(), (emit::thread() >> 32) as u32);
}

/// Marks the process (tgid) of a task as a user of a VFIO device, and its mm.
#[inline(always)]
pub fn involve(task: u64, pid: u32) {
    PROCESS_FILTER.set(slot(u64::from(pid), PROCESS_BITS));
    if let Some(mm) = read::mm_of_task(task) {
        MM_FILTER.set(slot(mm, PROCESS_BITS));
    }
}

/// Stores the owner of the mm that a device is mapped in.
#[inline(always)]
pub fn learn_mm(vma: u64, subject: &emit::Subject) {
    if let Some(mm) = read::mm_of_vma(vma) {
        // The map drops the least used one by itself.
        let _ = MMS.insert(mm, subject, 0);
        MM_FILTER.set(slot(mm, PROCESS_BITS));
    }
}

/// Whether the mm of a VMA may belong to a user of a VFIO device.
#[inline(always)]
pub fn mm_is_marked(vma: u64) -> bool {
    read::mm_of_vma(vma).is_some_and(|mm| MM_FILTER.test(slot(mm, PROCESS_BITS)))
}

/// The process that loses a VMA: the current one, unless it only drops the last reference to the mm
/// of a process that has ended, as a reader of `/proc/PID` may.
#[inline(always)]
pub fn owner_of(vma: u64) -> emit::Subject {
    let current = emit::Subject::current();
    let Some(mm) = read::mm_of_vma(vma) else {
        return current;
    };
    // SAFETY: see `target_of`.
    let Some(owner) = (unsafe { MMS.get(mm) }) else {
        return current;
    };
    if owner.pid == current.pid || read::runs_in(mm) {
        current
    } else {
        *owner
    }
}

/// The device of an inode mapping; `None` for one of another file.
#[inline(always)]
pub fn device_of_inode_mapping(mapping: u64) -> Option<u64> {
    if !INODE_MAPPING_FILTER.test(slot(mapping, INODE_MAPPING_BITS)) {
        return None;
    }
    // SAFETY: see `target_of`.
    unsafe { INODE_MAPPINGS.get(mapping) }.copied()
}

/// Stores the inode mapping of a device.
#[inline(always)]
pub fn learn_inode_mapping(mapping: u64, device: u64) {
    if INODE_MAPPINGS.insert(mapping, device, 0).is_err() {
        emit::lose(Counter::ContextsFull, Loss::of(device));
        return;
    }
    INODE_MAPPING_FILTER.set(slot(mapping, INODE_MAPPING_BITS));
}

/// Removes the inode mapping of a device that was closed: the kernel may reuse its memory.
#[inline(always)]
pub fn forget_inode_mapping(mapping: u64) {
    let _ = INODE_MAPPINGS.remove(mapping);
}

/// The generation of an IRQ index: it changes when the index is disabled or the device closed.
#[inline(always)]
pub fn generation(device: u64, index: u32) -> u32 {
    part(device, index).wrapping_add(part(device, WHOLE_DEVICE))
}

#[inline(always)]
fn part(device: u64, index: u32) -> u32 {
    let key = Index {
        device,
        index,
        zero: 0,
    };
    // SAFETY: see `target_of`.
    unsafe { GENERATIONS.get(key) }.copied().unwrap_or(0)
}

/// Makes all contexts of this index ([`WHOLE_DEVICE`]: of every index) stale.
#[inline(always)]
pub fn next_generation(device: u64, index: u32) {
    let key = Index {
        device,
        index,
        zero: 0,
    };
    let next = part(device, index).wrapping_add(1);
    if GENERATIONS.insert(key, next, 0).is_err() {
        emit::lose(Counter::ContextsFull, Loss::of(device));
    }
}
