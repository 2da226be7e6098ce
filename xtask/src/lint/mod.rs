//! The rules of this repository that no compiler holds, one file each.
//!
//! A rule reads the tracked files and returns what breaks it; each finding names the place and the
//! fix. ARCHITECTURE.md lists the rules. `cargo xtask test --only lint` runs them.

mod cycle;
mod dependency;
mod hook;
mod length;
mod spdx;
mod tree;
mod uapi;
mod unsafe_code;
mod words;

use anyhow::{Result, bail};

use tree::Tree;

/// A rule: its name in the list of tests, and its check.
pub struct Rule {
    /// What holds when the rule is kept.
    pub name: &'static str,
    check: fn(&Tree) -> Result<Vec<String>>,
}

/// Every rule.
pub const RULES: [Rule; 8] = [
    rule("no import circle inside a crate", cycle::check),
    rule("unsafe only where it is listed", unsafe_code::check),
    rule(
        "a hook's file is named after it and opens with its contract",
        hook::check,
    ),
    rule("uAPI numbers by name", uapi::check),
    rule("short files", length::check),
    rule("plain words", words::check),
    rule("licences of files", spdx::check),
    rule("licences and duplicates of dependencies", dependency::check),
];

const fn rule(name: &'static str, check: fn(&Tree) -> Result<Vec<String>>) -> Rule {
    Rule { name, check }
}

impl Rule {
    /// Fails with every finding, one a line.
    pub fn run(&self) -> Result<()> {
        let found = (self.check)(&Tree::read()?)?;
        if found.is_empty() {
            return Ok(());
        }
        bail!("{}", found.join("\n"))
    }
}
