//! The cache: what was fetched or built once, for every clone of this user.
//!
//! An entry is a directory that appears whole (it is filled beside its place
//! and renamed), so an entry that exists is complete.

use fs_err::{self as fs, File};
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

/// The cache directory, by the XDG rules.
pub fn directory() -> Result<PathBuf> {
    let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        // The XDG rules ignore a relative path.
        (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".cache"),
        _ => {
            return Err(anyhow!(
                "neither XDG_CACHE_HOME nor HOME is set: set one, the lab needs a cache"
            ));
        }
    };
    let directory = base.join("remap");
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Holds the cache for this process until dropped; waits while another has it.
pub fn lock() -> Result<File> {
    let path = directory()?.join("lock");
    let file = File::create(&path)?;
    if file.try_lock().is_err() {
        eprintln!("xtask: waiting for another setup to finish");
        file.lock()
            .with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}

/// Makes the entry `at` unless it is there: `fill` gets an empty directory.
pub fn entry(at: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if at.exists() {
        return Ok(());
    }
    let parent = at.parent().context("a cache entry has a parent")?;
    fs::create_dir_all(parent)?;
    remove_stale(parent);
    let draft = tempfile::Builder::new().prefix(DRAFT).tempdir_in(parent)?;
    fill(draft.path())?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(draft.path(), mode)?;
    match fs::rename(draft.path(), at) {
        Ok(()) => {
            // It has moved: there is nothing left to remove.
            let _ = draft.keep();
            Ok(())
        }
        // Another process was faster, with the same content.
        Err(_) if at.exists() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The entry of the build directory that is made of `inputs`.
pub fn built(kind: &str, inputs: &[u8], fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let at = target().join(kind).join(&sha256(inputs)[..16]);
    entry(&at, fill)?;
    Ok(at)
}

/// How the names of unfinished entries begin.
const DRAFT: &str = ".draft-";

/// Removes what killed runs left: drafts that are too old to be filled still.
fn remove_stale(parent: &Path) {
    let hour = Duration::from_secs(3600);
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let age = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .map(|time| time.elapsed());
        let old = age.is_ok_and(|age| age.is_ok_and(|age| age > hour));
        if old && entry.file_name().to_string_lossy().starts_with(DRAFT) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// The repository's root.
pub fn root() -> &'static Path {
    // The manifest of this package is one level below it.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// The build directory.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_appears_whole_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("a/b");
        assert!(entry(&at, |_| anyhow::bail!("no network")).is_err());
        assert!(!at.exists());
        entry(&at, |draft| Ok(fs::write(draft.join("x"), "1")?)).unwrap();
        entry(&at, |_| unreachable!("it is there")).unwrap();
        assert_eq!(fs::read_to_string(at.join("x")).unwrap(), "1");
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn the_slower_process_takes_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("a");
        let slow = |draft: &Path| {
            fs::write(draft.join("x"), "slow")?;
            entry(&at, |draft| Ok(fs::write(draft.join("x"), "fast")?))
        };
        entry(&at, slow).unwrap();
        assert_eq!(fs::read_to_string(at.join("x")).unwrap(), "fast");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn hashes_are_what_sha256sum_prints() {
        assert!(sha256(b"abc").starts_with("ba7816bf8f01cfea"));
    }
}
