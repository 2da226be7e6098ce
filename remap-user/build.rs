//! Builds the eBPF object and puts it where `remap_user::probe` embeds it.
//!
//! `REMAP_BPF_OBJECT=PATH` uses a prebuilt object. `REMAP_BPF_SKIP=1` embeds none, so that lints
//! and unit tests need no BPF toolchain; a `remap` built so says that it cannot trace.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain, build_ebpf};

const OBJECT: &str = "remap-ebpf";

fn main() -> Result<()> {
    println!("cargo:rerun-if-env-changed=REMAP_BPF_OBJECT");
    println!("cargo:rerun-if-env-changed=REMAP_BPF_SKIP");
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?).join(OBJECT);
    if let Some(path) = env::var_os("REMAP_BPF_OBJECT") {
        let path = PathBuf::from(path);
        println!("cargo:rerun-if-changed={}", path.display());
        fs::copy(&path, &out)
            .with_context(|| format!("cannot copy the BPF object {}", path.display()))?;
        return Ok(());
    }
    if env::var_os("REMAP_BPF_SKIP").is_some_and(|value| value == "1") {
        fs::write(&out, []).context("cannot write an empty BPF object")?;
        return Ok(());
    }
    let manifest =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR is not set")?);
    let root = manifest.join("../remap-ebpf");
    println!(
        "cargo:rerun-if-changed={}",
        manifest.join("../remap-common/src").display()
    );
    let package = Package {
        name: "remap-ebpf",
        root_dir: root
            .to_str()
            .context("the path of remap-ebpf is not UTF-8")?,
        ..Package::default()
    };
    build_ebpf([package], toolchain()?)?;
    strip_debug_info(&out)
}

/// Debian's toolchain where it ships a prebuilt `core` for the BPF target, otherwise nightly.
fn toolchain() -> Result<Toolchain<'static>> {
    let sysroot = Command::new("rustup")
        .args(["run", "debian", "rustc", "--print", "sysroot"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    if let Some(sysroot) = sysroot
        && PathBuf::from(sysroot.trim())
            .join("lib/rustlib/bpfel-unknown-none/lib")
            .exists()
    {
        // aya-ebpf and remap-ebpf use one unstable feature each; a released compiler must be
        // told so.
        // SAFETY: this process has one thread.
        #[expect(unsafe_code, reason = "set_var in a single-threaded build script")]
        unsafe {
            env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf,remap_ebpf");
        }
        return Ok(Toolchain::Custom("debian"));
    }
    if Command::new("rustup")
        .args(["run", "nightly", "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return Ok(Toolchain::Nightly);
    }
    bail!(
        "no compiler for the eBPF programs: run `cargo xtask setup`, or install a nightly \
         toolchain with rust-src, or name a prebuilt object in REMAP_BPF_OBJECT"
    );
}

/// The object carries DWARF that no loader reads: about nine tenths of it.
fn strip_debug_info(object: &PathBuf) -> Result<()> {
    let tools = ["llvm-strip", "llvm-strip-22", "llvm-strip-14"];
    for tool in tools {
        if let Ok(status) = Command::new(tool).arg("-g").arg(object).status() {
            if !status.success() {
                bail!("{tool} -g failed on the BPF object: {status}");
            }
            return Ok(());
        }
    }
    println!("cargo:warning=no llvm-strip: the BPF object keeps its debug information");
    Ok(())
}
