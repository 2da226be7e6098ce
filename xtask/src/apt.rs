//! Debian packages: which are missing, installing them, fetching without
//! installing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::cache::sha256;
use crate::outcome::Cannot;
use crate::process::{command, quiet, run, step, text};

/// Waits for another apt instead of failing.
const WAIT: [&str; 2] = ["-o", "DPkg::Lock::Timeout=600"];

/// Those of `wanted` that are not installed.
fn missing<'a>(wanted: &[&'a str]) -> Result<Vec<&'a str>> {
    let format = "-f=${binary:Package} ${db:Status-Status}\n";
    let output = command("dpkg-query", ["-W", format]).args(wanted).output();
    let output = output.map_err(|_| {
        Cannot(
            "this is no Debian: dpkg-query is missing; the lab needs Debian 12's packages".into(),
        )
    })?;
    // Fails when any is unknown, and still lists the others.
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let installed: Vec<_> = listed
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect();
    let there = |name: &str| installed.iter().any(|i| i.split(':').next() == Some(name));
    Ok(wanted.iter().copied().filter(|name| !there(name)).collect())
}

/// Installs those of `wanted` that are missing; needs root only then.
pub fn install(wanted: &[&str]) -> Result<()> {
    let missing = missing(wanted)?;
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !is_root() {
        let line = format!("apt-get update && apt-get install -y --no-install-recommends {list}");
        return Err(Cannot(format!(
            "packages are missing and installing them needs root: run\n  sudo sh -c '{line}'"
        ))
        .into());
    }
    step(&format!("installing {list}"), || {
        if missing.iter().any(|name| candidate(name).is_err()) {
            update()?;
        }
        let install = || {
            let mut apt = command("apt-get", WAIT);
            apt.args(["install", "-y", "--no-install-recommends"])
                .args(&missing);
            quiet(apt.env("DEBIAN_FRONTEND", "noninteractive"))
        };
        // The lists may be older than the archive: files have gone then.
        install()
            .or_else(|_| update().and_then(|()| install()))
            .map(drop)
    })
}

/// Fetches the package lists.
pub fn update() -> Result<()> {
    if !is_root() {
        return Err(Cannot(
            "apt's package lists are too old or empty: run\n  sudo apt-get update".into(),
        )
        .into());
    }
    quiet(command("apt-get", WAIT).arg("update")).map(drop)
}

/// Every package name that begins with `prefix`.
pub fn names(prefix: &str) -> Result<Vec<String>> {
    let names = text(&mut command("apt-cache", ["pkgnames", prefix]))?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// What apt would install of a package.
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The hash that the signed index gives for its file.
    sha256: String,
}

/// Looks a package up.
pub fn candidate(name: &str) -> Result<Package> {
    let record = text(&mut command(
        "apt-cache",
        ["show", "--no-all-versions", name],
    ))?;
    let field = |key: &str| {
        let value = record
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        value
            .map(str::to_owned)
            .with_context(|| format!("apt-cache shows no {key} for {name}"))
    };
    Ok(Package {
        name: name.to_owned(),
        version: field("Version")?,
        sha256: field("SHA256")?,
    })
}

/// Fetches a package's file into `directory` without installing it.
pub fn download(package: &Package, directory: &Path) -> Result<PathBuf> {
    let mut apt = command(
        "apt-get",
        ["download", &format!("{}={}", package.name, package.version)],
    );
    quiet(apt.current_dir(directory)).with_context(|| format!("fetching {}", package.name))?;
    // A colon in a version is written as %3a in a file's name.
    let prefix = format!("{}_", package.name);
    let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let file = entries
        .iter()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    let file = file
        .ok_or_else(|| anyhow!("apt-get download {} left no file", package.name))?
        .path();
    let hash = sha256(&fs::read(&file).with_context(|| format!("reading {}", file.display()))?);
    if hash != package.sha256 {
        bail!(
            "{}: its SHA-256 is {hash}, the package index says {}",
            file.display(),
            package.sha256
        );
    }
    Ok(file)
}

/// Unpacks those files of a package that match `patterns` (all without any).
pub fn unpack(deb: &Path, into: &Path, patterns: &[String]) -> Result<()> {
    let script = r#"set -e; dpkg-deb --fsys-tarfile "$1" | { d=$2; shift 2; tar -x -C "$d" --wildcards --no-same-owner "$@"; }"#;
    let mut shell = command("sh", ["-c", script, "sh"]);
    run(shell.arg(deb).arg(into).args(patterns))
        .with_context(|| format!("unpacking {}", deb.display()))
}

/// Whether this process may install packages.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}
