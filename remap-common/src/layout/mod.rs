//! The offsets and shapes of the running kernel: user space measures them from BTF, the programs
//! read by them. They stand in for CO-RE relocations, which rustc does not emit.
//!
//! `table` is the one list of them: its rows make the struct, its unknown value, and the
//! descriptions by which user space measures it.

mod row;
mod table;

pub use row::{Impact, Present, Row, Shape, Types};
pub use table::{KernelLayout, MEMBERS, Member};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Offset of a member that this kernel does not have, or that could not be measured.
pub const ABSENT: u32 = u32::MAX;

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
    /// Both unknown.
    pub const UNKNOWN: Self = Self {
        cpu_offsets: 0,
        preempt_count: 0,
    };
}
