//! Look-ups in the table of hooks.

use std::collections::BTreeSet;

use super::{
    row::{Place, Row},
    table::TABLE,
};

/// Whether `--kprobes` attaches the hook of a traced program as a kprobe instead.
pub fn can_be_probed(program: &str) -> bool {
    let of = |row: &&Row| row.traced.iter().any(|traced| traced.name == program);
    TABLE.iter().find(of).is_some_and(|row| !row.in_interrupts)
}

/// Whether a skipped run of a program is a record that is lost.
pub fn emits(program: &str) -> bool {
    let of = |row: &&Row| {
        let mut programs = row.traced.iter().chain(row.probed);
        programs.any(|own| own.name == program)
    };
    TABLE.iter().find(of).is_none_or(|row| row.emits)
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
            assert!(rule.parse::<Rule>().is_ok(), "no rule {rule}");
            for hook in *hooks {
                let row = TABLE.iter().find(|row| row.hook == *hook);
                let row = row.unwrap_or_else(|| panic!("no hook {hook}"));
                assert!(row.impact.contains(rule), "{hook} does not name {rule}");
            }
        }
    }

    #[test]
    fn every_finding_that_is_named_is_made_from_that_hook() {
        for row in TABLE {
            let ids = Rule::ALL.iter().map(|rule| rule.name());
            for id in ids.filter(|id| row.impact.contains(id)) {
                let made = MADE_FROM.iter().find(|(rule, _)| *rule == id);
                assert!(
                    made.is_some_and(|(_, hooks)| hooks.contains(&row.hook)),
                    "{} names {id}",
                    row.hook
                );
            }
        }
    }
}
