//! The counter in C that the tracer is compared with in the lab.

use fs_err as fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::cache;
use crate::process::{command, quiet};

/// The binary's name.
pub const NAME: &str = "remap-lab-count";
/// How it is compiled: for a guest without libraries.
const FLAGS: [&str; 5] = ["-static", "-O2", "-Wall", "-Wextra", "-Werror"];

/// The binary.
pub fn ensure() -> Result<PathBuf> {
    let source = cache::root().join("lab/tests/c/count.c");
    let text = fs::read(&source)?;
    let at = cache::built("lab-count", &text, |draft| {
        let mut gcc = command("gcc-12", FLAGS);
        gcc.arg("-o").arg(draft.join(NAME));
        quiet(gcc.arg(&source)).map(drop)
    })?;
    Ok(at.join(NAME))
}
