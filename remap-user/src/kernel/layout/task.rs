//! The current task, and what runs on this CPU.

use remap_common::layout::TaskLayout;

use super::Ruler;
use crate::kernel::{Kernel, btf::Btf, symbol::Symbols};

/// `NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET` (include/linux/preempt.h).
const INTERRUPT_MASK: u32 = 0x00ff_0100;

/// The same where eight bits in the middle count how often interrupts were disabled, which came
/// together with `local_interrupt_disable_state`.
const INTERRUPT_MASK_WITH_DISABLE: u32 = 0xff00_0100;

/// What [`measure`] asks the symbols for.
pub(crate) const VARIABLES: [&str; 4] = [
    "__per_cpu_offset",
    "__preempt_count",
    "pcpu_hot",
    "local_interrupt_disable_state",
];

pub(super) fn measure(ruler: &mut Ruler, kernel: &Kernel) -> TaskLayout {
    let core = kernel.core.as_ref();
    let symbols = &kernel.symbols;
    let cpu_offsets = symbols.address_of("__per_cpu_offset");
    let count = cpu_offsets.zip(preempt_count(core, symbols));
    if count.is_none() {
        let without = "the addresses of __per_cpu_offset and the preempt count are hidden \
                       (kernel.kptr_restrict) or not there: whether a signal is the thread's own \
                       is unknown";
        ruler.missing.push(without.to_owned());
    }
    let (cpu_offsets, preempt_count) = count.unwrap_or((0, 0));
    let dying = "whether a device is closed by a process that ends is unknown";
    TaskLayout {
        cpu_offsets,
        preempt_count,
        interrupt_mask: match symbols.address_of("local_interrupt_disable_state") {
            None => INTERRUPT_MASK,
            Some(_) => INTERRUPT_MASK_WITH_DISABLE,
        },
        task_flags: ruler.offset(core, "task_struct", &["flags"], dying),
        task_files: ruler.offset(core, "task_struct", &["files"], super::stream::NO_FILES),
        reserved: 0,
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
