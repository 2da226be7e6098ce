//! `cargo xtask setup`: everything that a fresh machine lacks.

use fs_err as fs;
use std::env;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Parser;

use crate::kernel::{Choice, Series};
use crate::process::{command, quiet};
use crate::{apt, busybox, cache, kernel, linker, prometheus};

/// Fetch and install what the other tasks need. Idempotent; they all run it.
#[derive(Parser)]
pub struct Args {
    /// Look for newer kernels even if the cache has some
    #[arg(long)]
    refresh: bool,
}

/// What a task needs.
#[derive(Clone, Debug)]
pub enum Requirement {
    /// The static binaries.
    Build,
    /// The fuzz targets, and the unit tests.
    Fuzz,
    /// Guests of these series.
    Lab(Vec<Series>),
}

/// The eBPF toolchain.
const BUILD: &[&str] = &[
    "gcc",
    "libc6-dev",
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    // For llvm-strip: binutils does not support eBPF.
    "llvm",
];
/// libFuzzer, which is C++, a test that compiles the C header as C++, and one that opens an export with perf.
const FUZZ: &[&str] = &["g++", "linux-perf"];
/// Booting a guest, and building a module for it.
const LAB: &[&str] = &[
    "qemu-system-x86",
    "gcc-12",
    "make",
    "binutils",
    "libelf1",
    "pahole",
    "tar",
    "xz-utils",
    "zstd",
];

/// What a task needs that builds remap and boots guests of the chosen kernels. Returns their series.
pub fn lab(kernel: &Choice) -> Result<Vec<Series>> {
    let series = kernel.series();
    guests(kernel, &series)?;
    Ok(series)
}

/// The same for these series of the choice.
pub fn guests(kernel: &Choice, series: &[Series]) -> Result<()> {
    run(&[Requirement::Build, Requirement::Lab(series.to_vec())])?;
    kernel.check()
}

/// Runs `cargo xtask setup`.
pub fn main(args: &Args) -> Result<u8> {
    let lab = Requirement::Lab(Series::ALL.to_vec());
    run(&[Requirement::Build, Requirement::Fuzz, lab])?;
    let _lock = cache::lock()?;
    println!("bpf-linker in {}", linker::ensure()?.display());
    retry_build_script()?;
    println!("busybox: {}", busybox::ensure()?.display());
    println!("prometheus: {}", prometheus::ensure()?.display());
    for series in Series::ALL {
        let kernel = kernel::ensure(series, args.refresh)?;
        println!("kernel {}: {}", series.label(), kernel.vmlinux().display());
    }
    Ok(0)
}

/// Makes sure of what a task needs; silent when nothing is to be done.
pub fn run(needs: &[Requirement]) -> Result<()> {
    let _lock = cache::lock()?;
    // All packages at once: without root this is the one line to run by hand.
    let packages = needs.iter().flat_map(|need| match need {
        Requirement::Build => BUILD,
        Requirement::Fuzz => FUZZ,
        Requirement::Lab(_) => LAB,
    });
    apt::install(&packages.copied().collect::<Vec<_>>())?;
    for need in needs {
        match need {
            Requirement::Build => {
                link_toolchain()?;
                linker::ensure()?;
            }
            // Its packages are all.
            Requirement::Fuzz => {}
            Requirement::Lab(series) => {
                busybox::ensure()?;
                series
                    .iter()
                    .try_for_each(|&series| kernel::ensure(series, false).map(drop))?;
            }
        }
    }
    Ok(())
}

/// Makes sure of rustfmt and clippy, which a minimal rustup leaves out.
pub fn lint_tools() -> Result<()> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if quiet(&mut command("cargo", [tool, "--version"])).is_err() {
            quiet(&mut command("rustup", ["component", "add", component]))?;
        }
    }
    Ok(())
}

/// Makes cargo run the build script of remap-user again: an earlier plain `cargo build` may have
/// left the eBPF programs out.
fn retry_build_script() -> Result<()> {
    let script = cache::root().join("remap-user/build.rs");
    let file = fs::File::options().append(true).open(&script);
    file.and_then(|file| file.set_modified(SystemTime::now()))
        .with_context(|| format!("touching {}", script.display()))
}

/// Lets rustup's cargo find Debian's compiler, which has a `core` for eBPF.
fn link_toolchain() -> Result<()> {
    let home = env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".rustup")));
    let Some(toolchains) = home
        .map(|home| home.join("toolchains"))
        .filter(|path| path.exists())
    else {
        return Ok(());
    };
    match fs::symlink_metadata(toolchains.join("debian")) {
        Ok(_) => Ok(()),
        Err(_) => quiet(&mut command(
            "rustup",
            ["toolchain", "link", "debian", "/usr"],
        ))
        .map(drop),
    }
}
