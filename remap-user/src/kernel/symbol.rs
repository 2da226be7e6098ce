//! The functions of the running kernel and where they live: `/proc/kallsyms`, names only.

use std::collections::{BTreeSet, HashMap};

/// Which functions there are, of those that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Name → module; empty for the core kernel.
    functions: HashMap<String, String>,
    modules: BTreeSet<String>,
}

impl Symbols {
    /// Parses the text of `/proc/kallsyms` for the functions in `wanted`; addresses are not looked
    /// at, so that it does not matter whether they are shown.
    pub fn parse(text: &str, wanted: &BTreeSet<&str>) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (Some(_address), Some(kind), Some(name)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let module = fields.next().unwrap_or_default();
            let module = module.trim_start_matches('[').trim_end_matches(']');
            if !found.modules.contains(module) {
                found.modules.insert(module.to_owned());
            }
            if matches!(kind, "t" | "T" | "w" | "W") && wanted.contains(name) {
                found.functions.insert(name.to_owned(), module.to_owned());
            }
        }
        found
    }

    /// The module that a function belongs to (empty: the core kernel); `None` if there is none.
    pub fn module_of(&self, function: &str) -> Option<&str> {
        self.functions.get(function).map(String::as_str)
    }

    /// Whether anything of a module is there.
    pub fn has_module(&self, module: &str) -> bool {
        self.modules.contains(module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_from_data_and_modules_from_the_core() {
        let symbols = Symbols::parse(
            "0000000000000000 T eventfd_signal_mask\n\
             0000000000000000 d eventfd_fops\n\
             0000000000000000 t vfio_device_fops_mmap\t[vfio]\n\
             0000000000000000 t vfio_nobody_asked\t[vfio_pci]\n\
             cut\n",
            &BTreeSet::from([
                "eventfd_signal_mask",
                "eventfd_fops",
                "vfio_device_fops_mmap",
            ]),
        );
        assert_eq!(symbols.module_of("eventfd_signal_mask"), Some(""));
        assert_eq!(symbols.module_of("vfio_device_fops_mmap"), Some("vfio"));
        assert_eq!(symbols.module_of("eventfd_fops"), None);
        assert_eq!(symbols.module_of("vfio_nobody_asked"), None);
        assert!(symbols.has_module("vfio") && symbols.has_module("vfio_pci"));
        assert!(!symbols.has_module("kvm"));
    }
}
