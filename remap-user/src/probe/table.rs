//! The hooks as a table: which programs stand for a hook, on which function, and what a trace
//! lacks without it. The programs themselves say more, in `remap-ebpf/src/probe/`.

mod rows;

use std::collections::BTreeSet;

pub use rows::TABLE;

/// Where a hook's function lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the core kernel: it has a traced and a probed form.
    Core,
    /// In a module of this name (or built in): it has the probed form only.
    Module(&'static str),
    /// In `vfio_pci_core`, whatever their names: probed, all that have one of the row's
    /// prototypes.
    PciCore,
    /// The same in the modules that use `vfio_pci_core`: the drivers of devices.
    Vendor,
}

/// What it means that a hook is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A trace is pointless.
    Essential,
    /// A trace lacks something.
    Wanted,
    /// Where the function is not there, neither is what it would show.
    WherePresent,
}

/// What a hook is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
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

impl Topic {
    /// All topics, in order.
    pub const ALL: [Self; 5] = [
        Self::Devices,
        Self::Interrupts,
        Self::Mappings,
        Self::Dma,
        Self::Migration,
    ];

    /// The topic's word in text and JSON.
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
    /// What it is for.
    pub topic: Topic,
    /// The functions that can serve, best first; for [`Place::PciCore`] and [`Place::Vendor`] their
    /// prototypes.
    pub functions: &'static [&'static str],
    /// A function without which the others are stubs that the kernel never calls.
    pub beside: Option<&'static str>,
    /// Where they live.
    pub place: Place,
    /// The programs of the traced form; empty if there is none.
    pub traced: &'static [Program],
    /// The programs of the probed form.
    pub probed: &'static [Program],
    /// Whether interrupts call the function too. One that comes while a kprobe is served finds no
    /// other kprobe, so the traced form is taken wherever it is to be had.
    pub in_interrupts: bool,
    /// Whether it tells of what it sees. A run that is skipped of one that only forgets is no record
    /// that is lost.
    pub tells: bool,
    /// What a trace lacks without this hook.
    pub without: &'static str,
    /// How much it is missed.
    pub need: Need,
}

/// Whether `--kprobes` gives the hook of a traced program another form.
pub fn can_be_probed(program: &str) -> bool {
    let of = |row: &&Row| row.traced.iter().any(|traced| traced.name == program);
    TABLE.iter().find(of).is_some_and(|row| !row.in_interrupts)
}

/// Whether a skipped run of a program is a record that is lost.
pub fn tells(program: &str) -> bool {
    let of = |row: &&Row| {
        let mut programs = row.traced.iter().chain(row.probed);
        programs.any(|own| own.name == program)
    };
    TABLE.iter().find(of).is_none_or(|row| row.tells)
}

/// Every function that a hook may be attached to by its name.
pub fn functions() -> BTreeSet<&'static str> {
    TABLE
        .iter()
        .filter(|row| !matches!(row.place, Place::PciCore | Place::Vendor))
        .flat_map(|row| row.functions.iter().copied().chain(row.beside))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use remap_core::model::RULES;

    /// What each finding is made from, beyond what no trace can do without.
    const MADE_FROM: &[(&str, &[&str])] = &[
        ("aliased-trigger", &["eventfd_read"]),
        ("self-trigger", &["eventfd_read", "eventfd_write"]),
        ("ack-before-requery", &["eventfd_write"]),
        ("ack-with-mapping", &["eventfd_write", "vfio_mmap", "unmap"]),
        (
            "missing-ack",
            &["eventfd_write", "eventfd_ctx_fileget", "vfio_write"],
        ),
        ("not-enabled", &["vfio_write"]),
        ("impossible-change", &["vfio_write"]),
        ("deadlock", &["eventfd_read"]),
        ("data-left", &["data_read", "vfio_release"]),
        (
            "never-read",
            &["eventfd_read", "eventfd_ctx_do_read", "eventfd_release"],
        ),
        ("request-ignored", &["eventfd_ctx_do_read", "vfio_release"]),
        ("access-refused", &["fault", "fault_vendor"]),
        (
            "dma-mapped",
            &["container_ioctl", "iommufd_ioctl", "vfio_mmap", "unmap"],
        ),
    ];

    #[test]
    fn a_hook_names_the_findings_that_its_absence_takes() {
        for (rule, hooks) in MADE_FROM {
            assert!(RULES.iter().any(|(_, id, _)| id == rule), "no rule {rule}");
            for hook in *hooks {
                let row = TABLE.iter().find(|row| row.hook == *hook);
                let row = row.unwrap_or_else(|| panic!("no hook {hook}"));
                assert!(row.without.contains(rule), "{hook} does not name {rule}");
            }
        }
    }

    #[test]
    fn every_finding_that_is_named_is_made_from_that_hook() {
        for row in TABLE {
            let named = |(_, id, _): &&(_, &str, _)| row.without.contains(id);
            for (_, id, _) in RULES.iter().filter(named) {
                let made = MADE_FROM.iter().find(|(rule, _)| rule == id);
                assert!(
                    made.is_some_and(|(_, hooks)| hooks.contains(&row.hook)),
                    "{} names {id}",
                    row.hook
                );
            }
        }
    }
}
