//! bpf-linker: links the eBPF programs with the LLVM that Debian's rustc uses.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache;
use crate::outcome::Cannot;
use crate::process::{command, run, step, text};

/// The version that is known to work with the eBPF crates in Cargo.lock.
const VERSION: &str = "0.13.0";
/// The compiler whose `core` for eBPF is packaged.
const RUSTC: &str = "/usr/bin/rustc";
/// Where Debian keeps shared libraries.
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// The directory of the bpf-linker binary, which is built if it is missing or if it was built for
/// another LLVM. `remap-user/build.rs` looks for the same folders.
pub fn ensure() -> Result<PathBuf> {
    let place = cache::directory()?.join(format!("bpf-linker-{VERSION}"));
    let binary = place.join("bin/bpf-linker");
    let major = llvm_major(&text(&mut command(RUSTC, ["-vV"]))?)?;
    let library = library(major)?;
    if fs::read(&binary).is_ok_and(|bytes| mentions(&bytes, &library)) {
        return Ok(place.join("bin"));
    }
    let prefix = cache::directory()?.join("llvm-prefix");
    let link = prefix.join("lib/libLLVM.so");
    fs::create_dir_all(prefix.join("lib"))?;
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(Path::new(LIBRARIES).join(&library), &link)?;
    step(
        &format!("building bpf-linker {VERSION} for LLVM {major} (about 1 minute)"),
        || {
            let mut cargo = command(
                "cargo",
                [
                    "install",
                    "bpf-linker",
                    "--quiet",
                    "--locked",
                    "--force",
                    "--version",
                    VERSION,
                ],
            );
            cargo
                .args([
                    "--no-default-features",
                    "--features",
                    &format!("llvm-{major}"),
                ])
                .arg("--root")
                .arg(&place);
            cargo
                .env("LLVM_PREFIX", &prefix)
                .env_remove("CARGO_TARGET_DIR")
                .env_remove("RUSTFLAGS");
            cargo
                .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
            run(cargo.env("CARGO_PROFILE_RELEASE_STRIP", "symbols"))
        },
    )?;
    Ok(place.join("bin"))
}

/// LLVM's major version in the output of `rustc -vV`.
fn llvm_major(version: &str) -> Result<u32> {
    let line = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "));
    let major = line.and_then(|line| line.split('.').next()?.parse().ok());
    major.with_context(|| format!("{RUSTC} -vV names no LLVM version"))
}

/// The file name of LLVM's shared library.
fn library(major: u32) -> Result<String> {
    let entries = fs::read_dir(LIBRARIES).with_context(|| format!("listing {LIBRARIES}"))?;
    let names: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    // The first form is the name that programs are linked to.
    let wanted = [
        format!("libLLVM.so.{major}."),
        format!("libLLVM-{major}.so"),
    ];
    let found = wanted
        .iter()
        .find_map(|wanted| names.iter().find(|name| name.starts_with(wanted.as_str())));
    found.cloned().ok_or_else(|| {
        Cannot(format!(
            "{LIBRARIES} holds no libLLVM {major}, which {RUSTC} uses: reinstall libllvm{major}"
        ))
        .into()
    })
}

fn mentions(bytes: &[u8], name: &str) -> bool {
    bytes
        .windows(name.len())
        .any(|window| window == name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_version_is_read() {
        assert_eq!(
            llvm_major("rustc 1.96.0\nhost: x\nLLVM version: 22.1.8\n").unwrap(),
            22
        );
        assert!(llvm_major("rustc 1.96.0\n").is_err());
    }
}
