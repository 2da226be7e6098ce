//! The addresses of the kernel's variables that the programs read at.

use remap_common::layout::KernelAddresses;

use super::{Kernel, btf::Btf, symbol::Symbols};

/// The variables whose addresses are needed: here, and `local_interrupt_disable_state` in the layout.
pub(super) const VARIABLES: [&str; 4] = [
    "__per_cpu_offset",
    "__preempt_count",
    "pcpu_hot",
    "local_interrupt_disable_state",
];

/// What is lost without the addresses.
pub(super) const HIDDEN: &str = "the addresses of __per_cpu_offset and the preempt count are \
    hidden (kernel.kptr_restrict) or not there: whether a signal is the thread's own is unknown";

/// The addresses: both or none.
pub(super) fn measure(kernel: &Kernel) -> Option<KernelAddresses> {
    let symbols = &kernel.symbols;
    Some(KernelAddresses {
        cpu_offsets: symbols.address_of("__per_cpu_offset")?,
        preempt_count: preempt_count(&kernel.core, symbols)?,
    })
}

/// Where the per-CPU section has the preempt count: a variable of its own, or from 6.2
/// (64701838bf05) to 6.14 (46e8fff6d45f) a member of `pcpu_hot`.
fn preempt_count(core: &Btf, symbols: &Symbols) -> Option<u64> {
    symbols.address_of("__preempt_count").or_else(|| {
        let member = core.member_offset("pcpu_hot.preempt_count")?;
        Some(symbols.address_of("pcpu_hot")? + u64::from(member))
    })
}
