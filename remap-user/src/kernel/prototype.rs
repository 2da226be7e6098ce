//! Functions of the drivers that are known by their prototype: what a vendor calls its handlers is
//! the vendor's own affair, what the kernel calls them through is not.

use super::Module;

/// A function of a driver that has one of the prototypes that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The function.
    pub function: String,
    /// The module that it is in.
    pub module: String,
}

/// Every function of `modules` whose prototype is one of `prototypes`.
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

/// The modules whose functions nobody can tell, since they bring no types.
pub fn untyped(modules: &[Module]) -> Vec<&str> {
    let silent = modules.iter().filter(|module| module.types.is_none());
    silent.map(|module| module.name.as_str()).collect()
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
                name: "untold".to_owned(),
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
        assert_eq!(untyped(&modules), ["untold"]);
    }
}
