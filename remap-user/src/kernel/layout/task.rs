//! The current task, and what runs on this CPU.

use remap_common::layout::{KernelAddresses, TaskLayout};

use super::Ruler;
use crate::kernel::{Kernel, btf::Btf, symbol::Symbols};

/// `NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET` (include/linux/preempt.h).
const INTERRUPT_MASK: u32 = 0x00ff_0100;

/// The same where eight bits in the middle count how often interrupts were disabled, which came
/// together with `local_interrupt_disable_state`.
const INTERRUPT_MASK_WITH_DISABLE: u32 = 0xff00_0100;

/// What this asks the symbols for.
pub(crate) const VARIABLES: [&str; 4] = [
    "__per_cpu_offset",
    "__preempt_count",
    "pcpu_hot",
    "local_interrupt_disable_state",
];

pub(super) fn measure(ruler: &mut Ruler, kernel: &Kernel) -> TaskLayout {
    let core = kernel.core.as_ref();
    let dying = "whether a device is closed by a process that ends is unknown";
    TaskLayout {
        interrupt_mask: match kernel.symbols.address_of("local_interrupt_disable_state") {
            None => INTERRUPT_MASK,
            Some(_) => INTERRUPT_MASK_WITH_DISABLE,
        },
        task_flags: ruler.offset(core, "task_struct", &["flags"], dying),
        task_files: ruler.offset(core, "task_struct", &["files"], super::stream::NO_FILES),
    }
}

/// The addresses that the programs read at: both or none.
pub(super) fn addresses(ruler: &mut Ruler, kernel: &Kernel) -> KernelAddresses {
    let symbols = &kernel.symbols;
    let offsets = symbols.address_of("__per_cpu_offset");
    match offsets.zip(preempt_count(&kernel.core, symbols)) {
        Some((cpu_offsets, preempt_count)) => KernelAddresses {
            cpu_offsets,
            preempt_count,
        },
        None => {
            let without = "the addresses of __per_cpu_offset and the preempt count are hidden \
                           (kernel.kptr_restrict) or not there: whether a signal is the thread's \
                           own is unknown";
            ruler.missing.push(without.to_owned());
            KernelAddresses::UNKNOWN
        }
    }
}

/// Where the per-CPU section has the preempt count: a variable of its own, or from 6.2
/// (64701838bf05) to 6.14 (46e8fff6d45f) a member of `pcpu_hot`.
fn preempt_count(core: &Btf, symbols: &Symbols) -> Option<u64> {
    symbols.address_of("__preempt_count").or_else(|| {
        let member = core.member_offset("pcpu_hot", &["preempt_count"])?;
        Some(symbols.address_of("pcpu_hot")? + u64::from(member))
    })
}
