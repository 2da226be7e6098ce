//! Which form a hook has on this kernel: pure over BTF and symbols.

use super::{Kernel, Module, prototype};
use crate::probe::table::{Need, Place, Row};

/// How a hook can be attached here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// fentry or fexit on this function.
    Traced(&'static str),
    /// kprobe or kretprobe on these functions.
    Probed(Vec<String>),
    /// None of the hook's functions is there.
    Absent {
        /// Why.
        reason: String,
        /// Whether a trace lacks something, and not just what is not on this machine either.
        lack: bool,
    },
}

/// The best form of a row: the first of its functions that exists, traced where BTF describes it
/// and `tracing` allows, else probed; of functions that are known by their prototype, all.
pub fn form(row: &Row, kernel: &Kernel, tracing: bool) -> Form {
    if let Some(modules) = by_prototype(row, kernel) {
        let found = prototype::matches(modules, row.functions);
        return if found.is_empty() {
            absent(row, kernel)
        } else {
            Form::Probed(found.into_iter().map(|found| found.function).collect())
        };
    }
    let is_stub = |function| kernel.symbols.module_of(function).is_none();
    if row.beside.is_some_and(is_stub) {
        return absent(row, kernel);
    }
    for function in row.functions {
        let Some(module) = kernel.symbols.module_of(function) else {
            continue;
        };
        let in_core = module.is_empty();
        if tracing
            && in_core
            && row.place == Place::Core
            && !row.traced.is_empty()
            && kernel.core.has_function(function)
        {
            return Form::Traced(function);
        }
        return Form::Probed(vec![(*function).to_owned()]);
    }
    absent(row, kernel)
}

/// The modules to look for a row's prototypes in; `None` if its functions are known by name.
fn by_prototype<'a>(row: &Row, kernel: &'a Kernel) -> Option<&'a [Module]> {
    match row.place {
        Place::PciCore => Some(kernel.pci_core()),
        Place::Vendor => Some(kernel.vendors()),
        Place::Core | Place::Module(_) => None,
    }
}

fn absent(row: &Row, kernel: &Kernel) -> Form {
    let functions = row
        .beside
        .map_or_else(|| row.functions.join(", "), str::to_owned);
    let unloaded = match row.place {
        Place::Module(module) => (!kernel.symbols.has_module(module)).then_some(module),
        Place::PciCore if kernel.pci_core().is_empty() => Some("vfio_pci_core"),
        _ => None,
    };
    if let Some(module) = unloaded {
        return Form::Absent {
            reason: format!("no {functions}: the module {module} is not loaded"),
            lack: module == "vfio",
        };
    }
    match by_prototype(row, kernel) {
        None => Form::Absent {
            reason: format!("the kernel has no {functions}"),
            lack: row.need != Need::WherePresent,
        },
        Some(modules) => {
            let untyped = prototype::untyped(modules);
            if untyped.is_empty() {
                Form::Absent {
                    reason: format!("no driver has a function {functions}"),
                    lack: row.need != Need::WherePresent,
                }
            } else {
                Form::Absent {
                    reason: format!(
                        "no BTF of {}, so no function {functions} can be found there",
                        untyped.join(", ")
                    ),
                    lack: true,
                }
            }
        }
    }
}
