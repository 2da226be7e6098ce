//! The current task, and what runs on this CPU.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::ABSENT;

/// Where the task and the CPU say what they are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TaskLayout {
    /// The bits of the preempt count that are set in an interrupt (`NMI_MASK`, `HARDIRQ_MASK`,
    /// `SOFTIRQ_OFFSET`: `include/linux/preempt.h`).
    pub interrupt_mask: u32,
    /// `struct task_struct.flags`.
    pub task_flags: u32,
    /// `struct task_struct.files`.
    pub task_files: u32,
}

impl TaskLayout {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        interrupt_mask: 0,
        task_flags: ABSENT,
        task_files: ABSENT,
    };
}

/// Addresses of the running kernel's variables; 0 for one that is hidden or not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct KernelAddresses {
    /// `__per_cpu_offset`: for each CPU, what is added to the address of a per-CPU variable.
    pub cpu_offsets: u64,
    /// The preempt count in the per-CPU section: `__preempt_count`, or from 6.2 to 6.14
    /// `pcpu_hot.preempt_count`.
    pub preempt_count: u64,
}

impl KernelAddresses {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        cpu_offsets: 0,
        preempt_count: 0,
    };
}
