//! The guest's shell and small tools: Debian's static busybox, fetched but not
//! installed, because its package would replace a `busybox` that is.

use std::path::PathBuf;

use anyhow::Result;

use crate::apt::{self, Apt};
use crate::cache;
use crate::process::{command, step, text};

/// The busybox binary in the cache.
pub fn ensure() -> Result<PathBuf> {
    let at = cache::directory()?.join("busybox");
    cache::entry(&at, |draft| {
        step("fetching busybox", || {
            let debs = tempfile::tempdir()?;
            let deb = Apt::SYSTEM.fetch("busybox-static", debs.path())?;
            apt::unpack(&deb, draft, &["./bin/busybox".to_owned()])
        })
    })?;
    Ok(at.join("bin/busybox"))
}

/// The names that it answers to, beside its own.
pub fn applets() -> Result<Vec<String>> {
    let list = text(&mut command(&ensure()?.to_string_lossy(), ["--list"]))?;
    Ok(list
        .lines()
        .filter(|&name| name != "busybox")
        .map(str::to_owned)
        .collect())
}
