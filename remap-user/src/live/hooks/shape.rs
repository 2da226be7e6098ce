//! The form that a hook takes on this kernel: pure over BTF and symbols.

use super::row::{Place, Requirement, Row};
use crate::kernel::{Kernel, Module, prototype};

/// How a hook can be attached here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// fentry or fexit on this function.
    Traced(&'static str),
    /// kprobe or kretprobe on these functions.
    Probed(Vec<String>),
    /// The kernel has none of the hook's functions.
    Absent {
        /// Why.
        reason: String,
        /// Whether the trace lacks something that this machine has.
        lack: bool,
    },
}

/// The best form of a row: the first of its functions that exists, traced if BTF describes it and
/// `tracing` allows it or interrupts call it, else probed. With prototypes, all functions that match.
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
        if (tracing || row.in_interrupts)
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

/// The modules that are searched for a row's prototypes; `None` if its functions have names.
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
            lack: row.requirement != Requirement::WherePresent,
        },
        Some(modules) => {
            let untyped = prototype::untyped(modules);
            if untyped.is_empty() {
                Form::Absent {
                    reason: format!("no driver has a function {functions}"),
                    lack: row.requirement != Requirement::WherePresent,
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use super::*;
    use crate::{
        kernel::{
            btf::{Btf, tests::vendor},
            symbol::Symbols,
        },
        live::hooks::row::{Category, Program, When},
    };

    const READ: &str = "ssize_t (struct file *, char *, size_t)";

    /// A kernel with one vendor's driver, with its types or without.
    fn kernel(typed: bool) -> Kernel {
        let (core, driver) = vendor();
        let core = Arc::new(Btf::parse(core, None).unwrap());
        let types = Btf::parse(driver, Some(&core)).unwrap();
        let driver = |name: &str, types| Module {
            name: name.to_owned(),
            types,
        };
        Kernel {
            vfio: None,
            drivers: vec![
                driver("vfio_pci_core", None),
                driver("acme_vfio_pci", typed.then_some(types)),
            ],
            core,
            symbols: Symbols::parse(
                "0 t vfio_device_fops_cdev_open [vfio]\n",
                &BTreeSet::from(["vfio_device_fops_cdev_open"]),
                &[],
            ),
        }
    }

    fn row(place: Place, functions: &'static [&'static str], requirement: Requirement) -> Row {
        Row {
            hook: "hook",
            category: Category::Devices,
            functions,
            beside: None,
            place,
            traced: &[],
            probed: &[],
            in_interrupts: false,
            records: remap_core::event::LostKind::Other,
            emits: true,
            impact: "nothing",
            requirement,
        }
    }

    fn is_lack(form: &Form) -> Option<bool> {
        match form {
            Form::Absent { lack, .. } => Some(*lack),
            _ => None,
        }
    }

    #[test]
    fn a_vendor_function_is_a_lack_only_without_types() {
        let saves = row(Place::Vendor, &[READ], Requirement::WherePresent);
        let found = Form::Probed(vec!["acme_save".to_owned()]);
        assert_eq!(form(&saves, &kernel(true), true), found);
        assert_eq!(is_lack(&form(&saves, &kernel(false), true)), Some(true));
        let loads = row(Place::Vendor, &["void (int)"], Requirement::WherePresent);
        assert_eq!(is_lack(&form(&loads, &kernel(true), true)), Some(false));
    }

    #[test]
    fn only_vfio_is_a_lack_when_it_is_not_loaded() {
        let iommufd = row(Place::Module("iommufd"), &["fops"], Requirement::Wanted);
        assert_eq!(is_lack(&form(&iommufd, &kernel(true), true)), Some(false));
        let gone = row(Place::Module("vfio"), &["vfio_gone"], Requirement::Wanted);
        assert_eq!(is_lack(&form(&gone, &kernel(true), true)), Some(true));
    }

    #[test]
    fn a_stub_is_not_probed() {
        let functions = &["vfio_device_fops_cdev_open"];
        let mut open = row(Place::Module("vfio"), functions, Requirement::WherePresent);
        let found = Form::Probed(vec![functions[0].to_owned()]);
        assert_eq!(form(&open, &kernel(true), true), found);
        open.beside = Some("vfio_df_ioctl_bind_iommufd");
        assert_eq!(is_lack(&form(&open, &kernel(true), true)), Some(false));
    }

    #[test]
    fn functions_that_interrupts_call_are_traced_despite_kprobes() {
        // A function of the core kernel that its types describe.
        let functions = &["kernel_write"];
        let symbols = Symbols::parse(
            "0 t kernel_write\n",
            &functions.iter().copied().collect(),
            &[],
        );
        let kernel = Kernel {
            symbols,
            ..kernel(true)
        };
        for (in_interrupts, traced) in [(true, true), (false, false)] {
            let row = Row {
                in_interrupts,
                traced: &[Program {
                    name: "program",
                    when: When::Entry,
                }],
                ..row(Place::Core, functions, Requirement::Wanted)
            };
            let form = form(&row, &kernel, false);
            assert_eq!(matches!(form, Form::Traced(_)), traced, "{form:?}");
        }
    }
}
