//! `cargo xtask build`: the static binaries, with the eBPF object inside.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::process::{command, run};
use crate::{cache, setup};

/// The target: named, so that its flags do not reach build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A package with a binary that runs in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// The tool.
    Remap,
    /// The guest's init.
    Guest,
    /// The tests that need a device.
    LabTests,
    /// The benchmark of what tracing costs.
    LabBench,
}

impl Binary {
    fn package(self) -> &'static str {
        match self {
            Binary::Remap => "remap-user",
            Binary::Guest => "remap-guest",
            Binary::LabTests => "remap-lab-tests",
            Binary::LabBench => "remap-lab-bench",
        }
    }

    /// The binary's name.
    pub fn name(self) -> &'static str {
        match self {
            Binary::Remap => "remap",
            Binary::Guest => "remap-guest",
            Binary::LabTests => "remap-lab-tests",
            Binary::LabBench => "remap-lab-bench",
        }
    }

    /// Where the build leaves it.
    pub fn path(self) -> PathBuf {
        cache::target()
            .join(TARGET)
            .join("release")
            .join(self.name())
    }
}

/// Build one static `remap` with the eBPF object inside.
#[derive(Parser)]
pub struct Args {}

/// Runs `cargo xtask build`.
pub fn main(_: &Args) -> Result<u8> {
    setup::run(&[setup::Requirement::Build])?;
    binaries(&[Binary::Remap])?;
    println!("{}", Binary::Remap.path().display());
    Ok(0)
}

/// What a guest of the lab runs, unless a task needs less.
pub const LAB: [Binary; 3] = [Binary::Guest, Binary::Remap, Binary::LabTests];

/// Builds binaries, all in one cargo run so that they share their crates.
pub fn binaries(wanted: &[Binary]) -> Result<()> {
    let mut cargo = command(
        "cargo",
        ["build", "--quiet", "--release", "--target", TARGET],
    );
    for binary in wanted {
        cargo.args(["--package", binary.package(), "--bin", binary.name()]);
    }
    // Runs on any host and in the guest, which has no libraries.
    cargo.env(
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
        "-C target-feature=+crt-static",
    );
    cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    // A binary that cannot trace is of no use here: a missing toolchain is an error.
    cargo.env("REMAP_BPF_REQUIRE", "1");
    cargo.env_remove("REMAP_BPF_SKIP");
    run(cargo.current_dir(cache::root()))
}
