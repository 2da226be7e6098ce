//! The functions of the running kernel and where they live, and the addresses of a few of its
//! variables: `/proc/kallsyms`.

use std::collections::{BTreeSet, HashMap};

/// Those of the wanted functions and variables that the kernel has.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Name → module; empty for the core kernel.
    functions: HashMap<String, String>,
    /// Name → address.
    variables: HashMap<String, u64>,
    modules: BTreeSet<String>,
}

impl Symbols {
    /// Parses the text of `/proc/kallsyms` for the functions in `wanted`, without their addresses, and
    /// for the addresses of `variables`, which the kernel may hide (`kernel.kptr_restrict`).
    pub fn parse(text: &str, wanted: &BTreeSet<&str>, variables: &[&str]) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (Some(address), Some(kind), Some(name)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let module = fields.next().unwrap_or_default();
            let module = module.trim_start_matches('[').trim_end_matches(']');
            if !found.modules.contains(module) {
                found.modules.insert(module.to_owned());
            }
            if matches!(kind, "t" | "T" | "w" | "W") {
                if wanted.contains(name) {
                    found.functions.insert(name.to_owned(), module.to_owned());
                }
            } else if variables.contains(&name)
                && let Ok(address @ 1..) = u64::from_str_radix(address, 16)
            {
                found.variables.insert(name.to_owned(), address);
            }
        }
        found
    }

    /// The module that a function belongs to (empty: the core kernel); `None` if there is none.
    pub fn module_of(&self, function: &str) -> Option<&str> {
        self.functions.get(function).map(String::as_str)
    }

    /// The address of a variable; `None` if there is none, or if it is hidden.
    pub fn address_of(&self, variable: &str) -> Option<u64> {
        self.variables.get(variable).copied()
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
    fn functions_and_modules_are_recognised() {
        let symbols = Symbols::parse(
            "0000000000000000 T eventfd_signal_mask\n\
             0000000000000000 d eventfd_fops\n\
             0000000000000000 t vfio_device_fops_mmap\t[vfio]\n\
             0000000000000000 t vfio_unwanted\t[vfio_pci]\n\
             cut\n",
            &BTreeSet::from([
                "eventfd_signal_mask",
                "eventfd_fops",
                "vfio_device_fops_mmap",
            ]),
            &[],
        );
        assert_eq!(symbols.module_of("eventfd_signal_mask"), Some(""));
        assert_eq!(symbols.module_of("vfio_device_fops_mmap"), Some("vfio"));
        assert_eq!(symbols.module_of("eventfd_fops"), None);
        assert_eq!(symbols.module_of("vfio_unwanted"), None);
        assert!(symbols.has_module("vfio") && symbols.has_module("vfio_pci"));
        assert!(!symbols.has_module("kvm"));
    }

    #[test]
    fn a_hidden_address_is_unknown() {
        let symbols = Symbols::parse(
            "ffffffffc0a01240 r vfio_device_fops\t[vfio]\n\
             0000000000000000 d vfio_fops\t[vfio]\n\
             ffffffffc0a01340 t vfio_group_fops\t[vfio]\n",
            &BTreeSet::new(),
            &["vfio_device_fops", "vfio_fops", "vfio_group_fops"],
        );
        assert_eq!(
            symbols.address_of("vfio_device_fops"),
            Some(0xffff_ffff_c0a0_1240)
        );
        assert_eq!(symbols.address_of("vfio_fops"), None);
        assert_eq!(symbols.address_of("vfio_group_fops"), None);
    }
}
