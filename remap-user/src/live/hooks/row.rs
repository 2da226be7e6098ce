//! One row of the table of hooks: the programs of a hook, the functions that they attach to, and
//! the impact on a trace when the hook is missing. The programs are in `remap-ebpf/src/probe/`.

use remap_core::{account::Loses, event::LostKind, model::Rule};

/// Where a hook's function lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the core kernel: it has a traced and a probed form.
    Core,
    /// In a module of this name (or built in): it has the probed form only.
    Module(&'static str),
    /// In `vfio_pci_core`, found by prototype: every function with one of the row's prototypes is
    /// probed.
    PciCore,
    /// Likewise in the modules that use `vfio_pci_core`: the drivers of devices.
    Vendor,
}

/// How much a trace depends on a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Without it, tracing is refused.
    Essential,
    /// Without it, a trace is limited.
    Wanted,
    /// A kernel without the function also lacks the feature that the hook traces.
    WherePresent,
}

/// What a hook traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Devices, and the files that lead to them.
    Devices,
    /// Interrupts, the remap IRQ among them.
    Interrupts,
    /// Mappings of regions, zaps and faults.
    Mappings,
    /// Mappings for DMA.
    Dma,
    /// State changes and state data.
    Migration,
}

impl Category {
    /// All categories, in order.
    pub const ALL: [Self; 5] = [
        Self::Devices,
        Self::Interrupts,
        Self::Mappings,
        Self::Dma,
        Self::Migration,
    ];

    /// The category's name in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Interrupts => "interrupts",
            Self::Mappings => "mappings",
            Self::Dma => "dma",
            Self::Migration => "migration",
        }
    }
}

/// When a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the function's entry: fentry, or kprobe.
    Entry,
    /// At its return: fexit, or kretprobe.
    Return,
}

/// One program of a hook.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// When it runs.
    pub when: When,
}

/// One hook.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The hook's name: that of its file in `remap-ebpf/src/probe/`.
    pub hook: &'static str,
    /// What it traces.
    pub category: Category,
    /// The functions that it can attach to, best first; for [`Place::PciCore`] and [`Place::Vendor`] their
    /// prototypes.
    pub functions: &'static [&'static str],
    /// If the kernel lacks this function, the others are stubs that are never called.
    pub beside: Option<&'static str>,
    /// Where they live.
    pub place: Place,
    /// The programs of the traced form; empty if there is none.
    pub traced: &'static [Program],
    /// The programs of the probed form.
    pub probed: &'static [Program],
    /// Whether interrupt handlers call the function too. The kernel skips a kprobe that fires while
    /// another kprobe runs on that CPU, so the traced form is used wherever the kernel offers it.
    pub in_interrupts: bool,
    /// Whether its programs emit records. A skipped run of a program that emits none loses no
    /// record.
    pub emits: bool,
    /// What a record of it that is lost can have been.
    pub records: LostKind,
    /// What a trace lacks without this hook, apart from findings.
    pub impact: &'static str,
    /// How much a trace depends on it.
    pub requirement: Requirement,
}

impl Row {
    /// Whether a run of its programs that the kernel skips is a lost record, and of what kind.
    pub fn lost(&self) -> (Loses, LostKind) {
        let loses = match self.place {
            _ if !self.emits => Loses::Nothing,
            Place::Core => Loses::Possibly,
            Place::Module(_) | Place::PciCore | Place::Vendor => Loses::Always,
        };
        (loses, self.records)
    }

    /// What a trace lacks without this hook, and the findings that depend on it.
    pub fn impact_with_findings(&self) -> String {
        let names = |hooks: fn(Rule) -> &'static [&'static str]| {
            let rules = Rule::ALL.iter().copied();
            let rules = rules.filter(|rule| hooks(*rule).contains(&self.hook));
            let names: Vec<&str> = rules.map(Rule::name).collect();
            names.join(", ")
        };
        let mut impact = self.impact.to_owned();
        for (about, names) in [
            ("findings that need it", names(Rule::needs)),
            ("unreliable findings", names(Rule::unreliable_without)),
        ] {
            if !names.is_empty() {
                impact += &format!("; {about}: {names}");
            }
        }
        impact
    }
}
