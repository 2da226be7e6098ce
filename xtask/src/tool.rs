//! Programs of the cargo registry that a task runs, built once into the cache.

use std::path::PathBuf;

use anyhow::Result;

use crate::cache;
use crate::process::{command, run, step};

/// A program in a version that is known to work here.
pub struct Tool {
    /// The crate, and its binary.
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
    /// How long the build takes on 2 cores, for the progress line.
    pub takes: &'static str,
}

impl Tool {
    /// The directory of the binary, which is built if it is missing.
    pub fn ensure(&self) -> Result<PathBuf> {
        let Tool {
            name,
            version,
            takes,
        } = self;
        let at = cache::directory()?.join(format!("{name}-{version}"));
        cache::entry(&at, |draft| {
            step(&format!("building {name} {version} ({takes})"), || {
                let mut cargo = command("cargo", ["install", name, "--quiet", "--locked"]);
                cargo
                    .args(["--version", version, "--no-track", "--root"])
                    .arg(draft);
                // A quick build: the program itself has little to do.
                cargo
                    .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
                    .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
                    .env("CARGO_PROFILE_RELEASE_LTO", "off");
                run(cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS"))
            })
        })?;
        Ok(at.join("bin"))
    }
}
