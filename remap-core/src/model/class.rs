//! The classes of outputs.

use macro_rules_attribute::apply;

use crate::word::word;

/// What an output is about: what a reader can ask for.
#[apply(word!)]
pub enum Class {
    /// The remap IRQ: cycles, their stages, eventfds that are inferred.
    Remap,
    /// State changes, and the time between them.
    Migration,
    /// Interrupts.
    Irq,
    /// Mappings: zaps and faults, mmap, munmap.
    Mapping,
    /// Mappings of regions for DMA.
    Dma,
    /// Opens and closes.
    File,
    /// Findings.
    Finding,
    /// Checkpoints from VMMs' logs, and downtimes. No [`Output`](super::Output) has this class.
    Vmm,
}
