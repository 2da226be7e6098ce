//! Kernel structures that only the walks read, by the offsets that user space measured.

use aya_ebpf::helpers::{bpf_probe_read_kernel_buf, bpf_probe_read_kernel_str_bytes};
use remap_common::layout::ABSENT;

use super::{driver_name, parent_of, private_of, word};
use crate::emit::Subject;

/// Levels of an xarray that a device's interrupts can need: 64 to this power of them.
const LEVELS: usize = 2;
/// Entries of a node of an xarray, as a power of two (`XA_CHUNK_SHIFT`).
const CHUNK_BITS: u32 = 6;

/// The ids of a task in the initial namespace, and its name.
#[inline(always)]
pub fn subject_of(task: u64) -> Option<Subject> {
    let mut comm = [0; 16];
    let at = layout!(task_comm);
    if at != ABSENT {
        // SAFETY: the helper checks the address; a name that cannot be read stays empty.
        let _ =
            unsafe { bpf_probe_read_kernel_buf((task + u64::from(at)) as *const u8, &mut comm) };
    }
    Some(Subject {
        pid: word(task, layout!(task_tgid))?,
        tid: word(task, layout!(task_pid))?,
        comm,
    })
}

/// The ids of a task in the initial namespace: tgid in the upper half, tid in the lower.
#[inline(always)]
pub fn thread_of(task: u64) -> Option<u64> {
    let pid: u32 = word(task, layout!(task_tgid))?;
    let tid: u32 = word(task, layout!(task_pid))?;
    Some(u64::from(pid) << 32 | u64::from(tid))
}

/// `__state` of a task, and whether a CPU runs it.
#[inline(always)]
pub fn state_of(task: u64) -> Option<(u32, u32)> {
    Some((
        word(task, layout!(task_state))?,
        word(task, layout!(task_on_cpu))?,
    ))
}

/// A system call, from the registers that were saved at its entry.
pub struct SystemCall {
    /// Its number; -1 after an exception.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The stack pointer and the program counter of its caller.
    pub place: [u64; 2],
}

/// `struct pt_regs` of x86_64 (arch/x86/include/asm/ptrace.h).
#[inline(always)]
pub fn system_call(registers: u64) -> Option<SystemCall> {
    let at = |offset: u32| word::<u64>(registers, offset);
    Some(SystemCall {
        number: at(120)? as i64,
        arguments: [at(112)?, at(104)?, at(96)?, at(56)?, at(72)?, at(64)?],
        place: [at(152)?, at(128)?],
    })
}

/// The name of a module; it stays as it is if it cannot be read.
#[inline(always)]
pub fn module_name(module: u64, name: &mut [u8]) {
    let at = layout!(module_name);
    if at != ABSENT {
        // SAFETY: the helper checks the address and ends the copy at `name`'s length.
        let _ =
            unsafe { bpf_probe_read_kernel_str_bytes((module + u64::from(at)) as *const u8, name) };
    }
}

/// Whether the file's device can be used: a device node that was opened is not bound yet.
#[inline(always)]
pub fn is_granted(file: u64) -> bool {
    let member = layout!(device_file_granted);
    if member == ABSENT {
        return true;
    }
    private_of(file)
        .and_then(|private| word::<u8>(private, member))
        .is_some_and(|granted| granted != 0)
}

/// The `struct vfio_pci_core_device` around a device. `None` unless its `pdev` is the device's parent:
/// then the driver does not build on `vfio_pci_core`.
#[inline(always)]
pub fn core_of(device: u64) -> Option<u64> {
    let member = layout!(core_vdev);
    if member == ABSENT || layout!(pdev_dev) == ABSENT {
        return None;
    }
    let core = device - u64::from(member);
    let pci: u64 = word(core, layout!(core_pdev))?;
    let parent = parent_of(device)?;
    if pci != 0 && pci + u64::from(layout!(pdev_dev)) == parent {
        Some(core)
    } else {
        None
    }
}

/// The IRQ index that is enabled; none of INTx, MSI and MSI-X if there is none.
#[inline(always)]
pub fn enabled_index(core: u64) -> Option<u32> {
    word(core, layout!(core_irq_type))
}

/// How many interrupts the array has room for; 0 where an xarray holds them.
#[inline(always)]
pub fn interrupt_count(core: u64) -> Option<u32> {
    if layout!(core_num_ctx) == ABSENT {
        Some(0)
    } else {
        word(core, layout!(core_num_ctx))
    }
}

/// The `struct vfio_pci_irq_ctx` with this number.
#[inline(always)]
pub fn interrupt(core: u64, number: u32) -> Option<u64> {
    let place = layout!(core_ctx);
    if layout!(core_num_ctx) == ABSENT {
        if place == ABSENT {
            return None;
        }
        return entry(core + u64::from(place), number);
    }
    let array: u64 = word(core, place)?;
    let size = layout!(irq_ctx_bytes);
    if array == 0 || size == ABSENT {
        return None;
    }
    Some(array + u64::from(number) * u64::from(size))
}

/// The entry of an xarray (lib/xarray.c `xa_load`): a pointer to a node ends in binary 10, a lone
/// entry for the number 0 stands in the head.
#[inline(always)]
fn entry(xarray: u64, number: u32) -> Option<u64> {
    let mut found: u64 = word(xarray, layout!(xarray_head))?;
    for level in 0..=LEVELS {
        if found & 3 != 2 {
            // Not a node. The head stands for number 0 only.
            return if found == 0 || (level == 0 && number != 0) {
                None
            } else {
                Some(found)
            };
        }
        let node = found - 2;
        let shift = u32::from(word::<u8>(node, layout!(xa_node_shift))?);
        // The head covers all numbers that there are, each node below it a part of them.
        if shift > CHUNK_BITS || (level == 0 && (number >> shift) >> CHUNK_BITS != 0) {
            return None;
        }
        let slot = (number >> shift) & ((1 << CHUNK_BITS) - 1);
        let slots = layout!(xa_node_slots);
        if slots == ABSENT {
            return None;
        }
        found = word(node + u64::from(slots), slot * 8)?;
    }
    None
}

/// The eventfd context that an interrupt signals.
#[inline(always)]
pub fn trigger(interrupt: u64) -> Option<u64> {
    word(interrupt, layout!(irq_ctx_trigger))
}

/// The eventfd context that masks an interrupt.
#[inline(always)]
pub fn mask(interrupt: u64) -> Option<u64> {
    virqfd(word(interrupt, layout!(irq_ctx_mask))?)
}

/// The eventfd context that unmasks an interrupt.
#[inline(always)]
pub fn unmask(interrupt: u64) -> Option<u64> {
    virqfd(word(interrupt, layout!(irq_ctx_unmask))?)
}

#[inline(always)]
fn virqfd(virqfd: u64) -> Option<u64> {
    if virqfd == 0 {
        return Some(0);
    }
    word(virqfd, layout!(virqfd_eventfd))
}

/// The eventfd context of `err_trigger`.
#[inline(always)]
pub fn err_trigger(core: u64) -> Option<u64> {
    unwrap_context(word(core, layout!(core_err_trigger))?)
}

/// The eventfd context of `req_trigger`.
#[inline(always)]
pub fn req_trigger(core: u64) -> Option<u64> {
    unwrap_context(word(core, layout!(core_req_trigger))?)
}

/// Whether the device's driver is known and is not vfio-pci, which has no interrupts of its own.
#[inline(always)]
pub fn has_own_driver(device: u64) -> bool {
    const PLAIN: [u8; 9] = *b"vfio-pci\0";
    let mut name = crate::emit::NO_NAME;
    if !driver_name(device, &mut name) {
        return false;
    }
    for at in 0..PLAIN.len() {
        if name[at] != PLAIN[at] {
            return true;
        }
    }
    false
}

/// The eventfd context that wakes the user of a device from `LOW_POWER_ENTRY_WITH_WAKEUP`.
#[inline(always)]
pub fn wake_context(device: u64) -> Option<u64> {
    word(core_of(device)?, layout!(core_wake))
}

#[inline(always)]
fn unwrap_context(held: u64) -> Option<u64> {
    let member = layout!(wrapped_ctx);
    if member == ABSENT || held == 0 {
        Some(held)
    } else {
        word(held, member)
    }
}
