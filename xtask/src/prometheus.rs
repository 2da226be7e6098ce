//! Prometheus and promtool, which the tests of `--metrics` run: Debian's, fetched but not installed,
//! because its package starts a service.

use std::path::PathBuf;

use anyhow::Result;

use crate::apt::{self, Apt};
use crate::cache;
use crate::process::step;

/// The folder of both programs in the cache.
pub fn ensure() -> Result<PathBuf> {
    let at = cache::directory()?.join("prometheus");
    cache::entry(&at, |draft| {
        step("fetching prometheus", || {
            let debs = tempfile::tempdir()?;
            let deb = Apt::SYSTEM.fetch("prometheus", debs.path())?;
            let programs = ["./usr/bin/prometheus", "./usr/bin/promtool"];
            apt::unpack(&deb, draft, &programs.map(str::to_owned))
        })
    })?;
    Ok(at.join("usr/bin"))
}
