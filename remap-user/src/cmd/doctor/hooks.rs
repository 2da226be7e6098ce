//! A check for each hook: its form on this kernel, or the impact if it is missing.

use super::check::{Check, OTHER_KERNEL, Status, VFIO};
use crate::kernel::Kernel;
use crate::live::hooks::{
    row::{Place, Requirement, Row},
    shape::{Form, form},
    table::TABLE,
};

/// A check for each row of the table.
pub(super) fn checks(kernel: &Kernel) -> impl Iterator<Item = Check> {
    TABLE.iter().map(|row| Check {
        category: Some(row.category.name()),
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
    // The other modules of VFIO are loaded after it.
    let unloaded = row.place != Place::Core && !kernel.symbols.has_module(VFIO);
    let remedy = match lack {
        true if unloaded => "load the module vfio",
        true => OTHER_KERNEL,
        false => "",
    };
    let detail = format!("{reason}: {}", row.impact_with_findings());
    Check::new(&name, status, detail, remedy).caused_by(unloaded.then_some(VFIO))
}
