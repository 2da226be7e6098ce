//! The driver under test, built against each kernel's headers.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::{self, sha256};
use crate::kernel::{Kernel, Series};
use crate::process::{command, quiet, shown, step};

/// The module's file, and the name of its PCI driver.
pub const MODULE: &str = "remap_ref.ko";
/// The name by which devices are bound to it.
pub const PCI_DRIVER: &str = "remap-ref";

/// The compiler's flags. Paths in warnings and in the kernel's reports name the
/// source in the repository, not the copy that is compiled.
const FLAGS: &str = "KCFLAGS=-Werror -ffile-prefix-map={}/=lab/driver/";
/// BTF for 6.1, whose headers hold no types to build on.
const BTF: &str =
    "LLVM_OBJCOPY=objcopy pahole -J $(sh scripts/pahole-flags.sh) --btf_base \"$1\" \"$2\"";

/// The driver built for `kernel`; built once for the same sources.
pub fn ensure(kernel: &Kernel) -> Result<PathBuf> {
    let files = files(&cache::root().join("lab/driver"))?;
    let mut text = format!("{}\n{FLAGS}\n{BTF}", kernel.release);
    text.push_str(&format!("{:?} {}", kernel.make_args(), kernel.flags()));
    for (name, bytes) in &files {
        text.push_str(&format!("\n{name} {}", sha256(bytes)));
    }
    let hash = &sha256(text.as_bytes())[..16];
    let at = cache::target()
        .join("lab-driver")
        .join(format!("{}-{hash}", kernel.release));
    cache::entry(&at, |draft| {
        let copy = tempfile::tempdir().context("making a folder for the driver's build")?;
        for (name, bytes) in &files {
            fs::write(copy.path().join(name), bytes).with_context(|| format!("copying {name}"))?;
        }
        step(
            &format!("building the driver for {}", kernel.release),
            || make(kernel, copy.path()),
        )?;
        // Without DWARF: a tenth of the size, and the guest has it in memory.
        let module = draft.join(MODULE);
        quiet(
            command("objcopy", ["--strip-debug"])
                .arg(copy.path().join(MODULE))
                .arg(module),
        )
        .map(drop)
    })?;
    Ok(at.join(MODULE))
}

/// The sources: what kbuild reads.
fn files(sources: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(sources)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let source =
            [".c", ".h"].iter().any(|end| name.ends_with(end)) && !name.ends_with(".mod.c");
        if source || name == "Kbuild" || name == "Makefile" {
            files.push((name, fs::read(&path)?));
        }
    }
    if !files.iter().any(|(name, _)| name == "Kbuild") {
        bail!(
            "{}: has no Kbuild file; boot without the driver by --driver none",
            sources.display()
        );
    }
    files.sort();
    Ok(files)
}

fn make(kernel: &Kernel, directory: &Path) -> Result<()> {
    let headers = kernel.headers();
    let mut make = command("make", ["-C"]);
    make.arg(&headers)
        .arg(format!("M={}", directory.display()))
        .args(kernel.make_args())
        .args(["-j2", "modules"]);
    let flags = FLAGS.replace("{}", &directory.display().to_string());
    make.arg(format!("{flags} {}", kernel.flags()));
    let name = shown(&make);
    let output = make.output().with_context(|| format!("running {name}"))?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("{name}: {}\n{}", output.status, printed.trim());
    }
    let module = directory.join(MODULE);
    if !module.exists() {
        bail!("{name}: made no {MODULE}");
    }
    if kernel.series == Series::V6_1 {
        let mut pahole = command("sh", ["-c", BTF, "sh"]);
        quiet(
            pahole
                .arg(kernel.vmlinux())
                .arg(&module)
                .current_dir(&headers),
        )?;
    }
    Ok(())
}
