//! Debian packages: which are missing, installing them, fetching without
//! installing.

use fs_err as fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        if missing
            .iter()
            .any(|name| Apt::SYSTEM.candidate(name).is_err())
        {
            Apt::SYSTEM.update()?;
        }
        let install = || {
            let mut apt = command("apt-get", WAIT);
            apt.args(["install", "-y", "--no-install-recommends"])
                .args(&missing);
            quiet(apt.env("DEBIAN_FRONTEND", "noninteractive"))
        };
        // The lists may be older than the archive: files have gone then.
        install()
            .or_else(|_| Apt::SYSTEM.update().and_then(|()| install()))
            .map(drop)
    })
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

/// An apt: the system's, or one with lists of its own.
pub struct Apt {
    /// What turns it away from the system's lists; none for the system's.
    options: Vec<String>,
}

impl Apt {
    /// The system's, which only root may refresh.
    pub const SYSTEM: Apt = Apt {
        options: Vec::new(),
    };

    /// One that `options` give other lists.
    pub fn with(options: Vec<String>) -> Apt {
        Apt { options }
    }

    /// Fetches the package lists.
    pub fn update(&self) -> Result<()> {
        if self.options.is_empty() && !is_root() {
            return Err(Cannot(
                "apt's package lists are too old or empty: run\n  sudo apt-get update".into(),
            )
            .into());
        }
        quiet(&mut self.get(&["update"])).map(drop)
    }

    /// Every package name that begins with `prefix`.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = text(&mut self.cache(&["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// A field of what apt would install of a package.
    pub fn field(&self, name: &str, key: &str) -> Result<String> {
        field(&self.record(name)?, name, key)
    }

    /// Looks a package up.
    pub fn candidate(&self, name: &str) -> Result<Package> {
        let record = self.record(name)?;
        Ok(Package {
            name: name.to_owned(),
            version: field(&record, name, "Version")?,
            sha256: field(&record, name, "SHA256")?,
        })
    }

    fn record(&self, name: &str) -> Result<String> {
        text(&mut self.cache(&["show", "--no-all-versions", name]))
    }

    /// Fetches a package's file into `directory` without installing it.
    pub fn download(&self, package: &Package, directory: &Path) -> Result<PathBuf> {
        let what = format!("{}={}", package.name, package.version);
        quiet(self.get(&["download", &what]).current_dir(directory))
            .with_context(|| format!("fetching {}", package.name))?;
        // A colon in a version is written as %3a in a file's name.
        let prefix = format!("{}_", package.name);
        let files = files(directory)?;
        let file = files.into_iter().find(|file| {
            let name = file.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(&prefix)
        });
        let file = file.ok_or_else(|| anyhow!("apt-get download {} left no file", package.name))?;
        let hash = sha256(&fs::read(&file)?);
        if hash != package.sha256 {
            bail!(
                "{}: its SHA-256 is {hash}, the package index says {}",
                file.display(),
                package.sha256
            );
        }
        Ok(file)
    }

    /// Fetches a package in a certain version.
    pub fn fetch_version(&self, name: &str, version: &str, directory: &Path) -> Result<PathBuf> {
        let record = self.record(&format!("{name}={version}"))?;
        let package = Package {
            name: name.to_owned(),
            version: version.to_owned(),
            sha256: field(&record, name, "SHA256")?,
        };
        self.download(&package, directory)
    }

    /// Looks a package up and fetches it; lists that are too old are refreshed once.
    pub fn fetch(&self, name: &str, directory: &Path) -> Result<PathBuf> {
        let once = || self.download(&self.candidate(name)?, directory);
        once().or_else(|_| self.update().and_then(|()| once()))
    }

    /// Fetches packages and all that they depend on into `directory`.
    pub fn download_closure(&self, names: &[&str], directory: &Path) -> Result<Vec<PathBuf>> {
        let partial = directory.join("partial");
        fs::create_dir_all(&partial)?;
        let place = format!("Dir::Cache::archives={}", directory.display());
        let words = [
            "-o",
            &place,
            "-y",
            "--no-install-recommends",
            "--download-only",
            "install",
        ];
        quiet(self.get(&words).args(names))
            .with_context(|| format!("fetching {} and what they need", names.join(" ")))?;
        Ok(files(directory)?
            .into_iter()
            .filter(|file| file.extension().is_some_and(|extension| extension == "deb"))
            .collect())
    }

    fn get(&self, words: &[&str]) -> Command {
        let mut apt = command("apt-get", WAIT);
        apt.args(&self.options).args(words);
        apt
    }

    fn cache(&self, words: &[&str]) -> Command {
        let mut apt = command("apt-cache", &self.options);
        apt.args(words);
        apt
    }
}

/// A field of a record that apt-cache shows.
fn field(record: &str, name: &str, key: &str) -> Result<String> {
    let value = record
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    value
        .map(str::to_owned)
        .with_context(|| format!("apt-cache shows no {key} for {name}"))
}

/// What is in a folder, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory);
    let mut files: Vec<_> = entries?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    Ok(files)
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
    rustix::process::geteuid().is_root()
}
