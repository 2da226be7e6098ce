//! Finds functions of drivers by their prototype: a vendor chooses the names of its handlers, the
//! kernel's operation tables fix their prototypes.

use super::Module;

/// A function of a driver with one of the wanted prototypes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The function.
    pub function: String,
    /// Its module.
    pub module: String,
}

/// Every function of `modules` with one of `prototypes`.
pub fn matches(modules: &[Module], prototypes: &[&str]) -> Vec<Match> {
    let found = modules.iter().flat_map(|module| {
        let described = module.types.iter().flat_map(|types| types.prototypes());
        described
            .filter(|(_, prototype)| prototypes.contains(&prototype.as_str()))
            .map(|(name, _)| Match {
                function: name.to_owned(),
                module: module.name.clone(),
            })
    });
    let mut found: Vec<Match> = found.collect();
    // Split BTF repeats a function where two of its descriptions differ.
    found.sort_by(|a, b| (&a.module, &a.function).cmp(&(&b.module, &b.function)));
    found.dedup();
    found
}

/// The modules without types: their functions cannot be found by prototype.
pub fn untyped(modules: &[Module]) -> Vec<&str> {
    let untyped = modules.iter().filter(|module| module.types.is_none());
    untyped.map(|module| module.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kernel::btf::{Btf, tests::vendor};

    #[test]
    fn handlers_are_found_by_what_calls_them() {
        let (core, driver) = vendor();
        let core = Arc::new(Btf::parse(core, None).unwrap());
        let modules = [
            Module {
                name: "acme_vfio_pci".to_owned(),
                types: Some(Btf::parse(driver, Some(&core)).unwrap()),
            },
            Module {
                name: "untyped".to_owned(),
                types: None,
            },
        ];
        let read = "ssize_t (struct file *, char *, size_t)";
        let expected = Match {
            function: "acme_save".to_owned(),
            module: "acme_vfio_pci".to_owned(),
        };
        assert_eq!(matches(&modules, &[read]), [expected]);
        // The core's own function of that prototype is none of the driver's.
        let write = "ssize_t (struct file *, const char *, size_t)";
        assert_eq!(matches(&modules, &[write]), []);
        assert_eq!(matches(&modules, &["void (struct file **)"]).len(), 1);
        assert_eq!(untyped(&modules), ["untyped"]);
    }
}
