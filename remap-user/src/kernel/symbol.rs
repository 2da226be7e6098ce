//! The functions of the running kernel and where they live: `/proc/kallsyms`, names only.

use std::collections::HashMap;

/// Which functions there are.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Name → module; empty for the core kernel.
    functions: HashMap<String, String>,
}

impl Symbols {
    /// Parses the text of `/proc/kallsyms`; addresses are not looked at, so that it does not
    /// matter whether they are shown.
    pub fn parse(text: &str) -> Self {
        let mut functions = HashMap::new();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (Some(_address), Some(kind), Some(name)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if !matches!(kind, "t" | "T" | "w" | "W") {
                continue;
            }
            let module = fields.next().unwrap_or_default();
            let module = module.trim_start_matches('[').trim_end_matches(']');
            functions.insert(name.to_owned(), module.to_owned());
        }
        Self { functions }
    }

    /// The module that a function belongs to (empty: the core kernel); `None` if there is none.
    pub fn module_of(&self, function: &str) -> Option<&str> {
        self.functions.get(function).map(String::as_str)
    }

    /// Whether anything of a module is there.
    pub fn has_module(&self, module: &str) -> bool {
        self.functions.values().any(|name| name == module)
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
             cut\n",
        );
        assert_eq!(symbols.module_of("eventfd_signal_mask"), Some(""));
        assert_eq!(symbols.module_of("vfio_device_fops_mmap"), Some("vfio"));
        assert_eq!(symbols.module_of("eventfd_fops"), None);
        assert!(symbols.has_module("vfio"));
        assert!(!symbols.has_module("kvm"));
    }
}
