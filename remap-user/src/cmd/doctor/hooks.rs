//! The hooks, by what they are for: each that is missing has a line that says what a trace will
//! lack.

use std::fmt;

use super::{Check, OTHER_KERNEL, Status};
use crate::kernel::Kernel;
use crate::live::hooks::{
    row::{Category, Place, Requirement, Row},
    shape::{Form, form},
    table::TABLE,
};

/// A check for each hook: its form here, or what will be missing.
pub(super) fn checks(kernel: &Kernel) -> impl Iterator<Item = Check> {
    TABLE.iter().map(|row| Check {
        topic: Some(row.category.name()),
        ..check(row, kernel)
    })
}

fn check(row: &Row, kernel: &Kernel) -> Check {
    let name = format!("hook {}", row.hook);
    let (reason, lack) = match form(row, kernel, true) {
        Form::Traced(function) => {
            return Check::ok(&name, format!("fentry/fexit on {function}"));
        }
        Form::Probed(functions) => {
            return Check::ok(&name, format!("kprobe on {}", functions.join(", ")));
        }
        Form::Absent { reason, lack } => (reason, lack),
    };
    let status = match (lack, row.requirement) {
        (true, Requirement::Essential) => Status::Failed,
        (true, _) => Status::Limited,
        (false, _) => Status::Absent,
    };
    let remedy = match row.place {
        Place::Module("vfio") if !kernel.symbols.has_module("vfio") => "load the module vfio",
        _ if lack => OTHER_KERNEL,
        _ => "",
    };
    Check::new(&name, status, format!("{reason}: {}", row.impact), remedy)
}

/// A line for each topic, and below it one for each hook that is not there, or for `all`.
pub(super) fn write(f: &mut fmt::Formatter<'_>, hooks: &[&Check], all: bool) -> fmt::Result {
    for topic in Category::ALL {
        let own = || {
            let own = |check: &&&Check| check.topic == Some(topic.name());
            hooks.iter().filter(own)
        };
        let of = |status| own().filter(|check| check.status == status).count();
        let (there, lacking) = (of(Status::Ok), of(Status::Failed) + of(Status::Limited));
        if own().count() == 0 {
            continue;
        }
        // The worst of them.
        let status = match (of(Status::Failed), lacking) {
            (0, 0) => Status::Ok,
            (0, _) => Status::Limited,
            _ => Status::Failed,
        };
        let detail = match lacking {
            0 => format!("hooks: {there}, lacking: none"),
            _ => format!("hooks: {there}, lacking: {lacking}"),
        };
        let name = format!("to see {}", topic.name());
        writeln!(f, "{}", Check::new(&name, status, detail, ""))?;
        for check in own().filter(|check| all || check.status != Status::Ok) {
            let name = check.name.trim_start_matches("hook ");
            let line = Check {
                name: format!("  {name}"),
                ..(**check).clone()
            };
            writeln!(f, "{line}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Lines;
    use super::*;

    fn hook(name: &str, topic: Category, status: Status, detail: &str) -> Check {
        Check {
            topic: Some(topic.name()),
            ..Check::new(name, status, detail, "")
        }
    }

    fn some() -> Vec<Check> {
        let there = "kprobe on vfio_device_fops_mmap";
        let lacking = "no zap_vma_ptes in this kernel: no zaps";
        vec![
            Check::ok("kernel types", "BTF and symbols can be read"),
            hook("hook zap_vma", Category::Mappings, Status::Limited, lacking),
            hook("hook vfio_mmap", Category::Mappings, Status::Ok, there),
            hook(
                "hook iommufd_ioctl",
                Category::Dma,
                Status::Absent,
                "no iommufd",
            ),
            hook("hook data_read", Category::Migration, Status::Ok, there),
            Check::ok("probes", "all"),
        ]
    }

    #[test]
    fn what_is_missing_stands_under_its_topic() {
        let expected = "\
ok       kernel types         BTF and symbols can be read
limited  to see mappings      hooks: 1, lacking: 1
limited    zap_vma            no zap_vma_ptes in this kernel: no zaps
ok       to see dma           hooks: 0, lacking: none
absent     iommufd_ioctl      no iommufd
ok       to see migration     hooks: 1, lacking: none
ok       probes               all
";
        assert_eq!(Lines(&some(), false).to_string(), expected);
    }

    #[test]
    fn all_are_shown_if_told() {
        let text = Lines(&some(), true).to_string();
        assert!(
            text.contains("  vfio_mmap") && text.contains("  data_read"),
            "{text}"
        );
    }
}
