//! The programs in C that tests of the lab run in the guest.

use fs_err as fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cache;
use crate::overlay;
use crate::process::{command, quiet};
use crate::suite::Suite;

/// What each is compiled with.
const FLAGS: [&str; 4] = ["-O2", "-Wall", "-Wextra", "-Werror"];

/// The counter that the tracer is compared with.
pub const COUNTER: &str = "remap-lab-count";
/// The reader of a trace's records.
const RECORDS: &str = "remap-lab-records";
/// The layout of the records.
const HEADER: &str = "docs/schema/remap_records.h";

/// The counter, for a guest without libraries.
pub fn counter() -> Result<PathBuf> {
    let source = cache::root().join("lab/tests/c/count.c");
    let text = fs::read(&source)?;
    let at = cache::built("lab-count", &text, |draft| {
        let mut gcc = gcc(&source, &draft.join(COUNTER));
        quiet(gcc.arg("-static")).map(drop)
    })?;
    Ok(at.join(COUNTER))
}

/// A folder to be copied over the guest's root, with the reader of records. It needs libbpf there.
pub fn records() -> Result<PathBuf> {
    let root = cache::root();
    let (source, header) = (root.join("lab/tests/c/records.c"), root.join(HEADER));
    let library = overlay::packages(Suite::Bookworm, &["libbpf-dev", "libbpf1"])?;
    let inputs = [fs::read(&source)?, fs::read(&header)?];
    cache::built("lab-records", &inputs.concat(), |draft| {
        let folder = draft.join("usr/bin");
        fs::create_dir_all(&folder)?;
        let mut gcc = gcc(&source, &folder.join(RECORDS));
        gcc.arg("-I").arg(root.join("docs/schema"));
        gcc.arg("-I").arg(library.join("usr/include"));
        gcc.arg("-L").arg(library.join("usr/lib/x86_64-linux-gnu"));
        // The libraries that libbpf needs itself are there at run time.
        quiet(gcc.args(["-lbpf", "-Wl,--allow-shlib-undefined"])).map(drop)
    })
}

fn gcc(source: &Path, output: &Path) -> Command {
    let mut gcc = command("gcc-12", FLAGS);
    gcc.arg("-o").arg(output).arg(source);
    gcc
}
