//! Look-ups in the table of hooks.

use std::collections::BTreeSet;

use remap_core::{account::Loses, event::LostKind};

use super::{
    row::{Place, Row},
    table::TABLE,
};

/// Whether `--kprobes` attaches the hook of a traced program as a kprobe instead.
pub fn can_be_probed(program: &str) -> bool {
    let of = |row: &&Row| row.traced.iter().any(|traced| traced.name == program);
    TABLE.iter().find(of).is_some_and(|row| !row.in_interrupts)
}

/// Whether a run of a program that the kernel skips is a lost record, and of what kind.
pub fn lost(program: &str) -> (Loses, LostKind) {
    let of = |row: &&Row| {
        let mut programs = row.traced.iter().chain(row.probed);
        programs.any(|own| own.name == program)
    };
    let row = TABLE.iter().find(of);
    row.map_or((Loses::Always, LostKind::Other), Row::lost)
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
    use remap_core::model::Rule;

    #[test]
    fn a_hook_names_the_findings_that_depend_on_it() {
        let impact = |hook: &str| {
            let row = TABLE.iter().find(|row| row.hook == hook).unwrap();
            row.impact_with_findings()
        };
        assert!(impact("eventfd_read").ends_with(
            "; findings that need it: aliased-trigger, self-trigger, deadlock, never-read"
        ));
        assert!(impact("unmap").ends_with("; unreliable findings: ack-with-mapping, dma-mapped"));
        assert!(impact("data_read").ends_with("; findings that need it: data-left"));
    }

    #[test]
    fn a_run_on_a_function_that_anyone_calls_may_be_no_record() {
        let signal = (Loses::Possibly, LostKind::Signal);
        assert_eq!(lost("eventfd_signal_fentry"), signal);
        assert_eq!(lost("eventfd_ctx_put_kprobe").0, Loses::Nothing);
        assert_eq!(lost("vfio_ioctl_kprobe"), (Loses::Always, LostKind::Other));
        assert_eq!(lost("fault_kretprobe"), (Loses::Always, LostKind::Fault));
    }

    #[test]
    fn a_finding_depends_on_hooks_that_exist() {
        let hooks = |rule: &Rule| [rule.needs(), rule.unreliable_without()].concat();
        for hook in Rule::ALL.iter().flat_map(hooks) {
            assert!(TABLE.iter().any(|row| row.hook == hook), "no hook {hook}");
        }
    }
}
