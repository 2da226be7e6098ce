//! One hook that was attached.

use super::attach::Link;

/// A hook that is attached, or was until its module was unloaded.
pub(super) struct Hook {
    /// Its name.
    pub name: &'static str,
    /// The function.
    pub function: String,
    pub(super) programs: Vec<&'static str>,
    /// The module that the function is in; empty for the core kernel.
    pub(super) module: String,
    /// What keeps the programs attached, in the order of their attachment; empty once the module
    /// is unloaded.
    pub(super) links: Vec<Link>,
}

impl Hook {
    /// Whether its programs are attached.
    pub(super) fn is_live(&self) -> bool {
        !self.links.is_empty()
    }

    pub(super) fn detach(&mut self) {
        while self.links.pop().is_some() {}
    }
}
