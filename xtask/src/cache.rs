//! The cache: what was fetched or built once, for every clone of this user.
//!
//! An entry is a directory that appears whole (it is filled beside its place
//! and renamed), so an entry that exists is complete.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

/// The cache directory, by the XDG rules.
pub fn directory() -> Result<PathBuf> {
    let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        // The XDG rules say that a relative path is to be ignored.
        (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".cache"),
        _ => {
            return Err(anyhow!(
                "neither XDG_CACHE_HOME nor HOME is set: set one, the lab needs a cache"
            ));
        }
    };
    let directory = base.join("remap");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    Ok(directory)
}

/// Holds the cache for this process until dropped; waits while another has it.
pub fn lock() -> Result<File> {
    let path = directory()?.join("lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
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
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    let draft = tempfile::Builder::new()
        .prefix(".draft-")
        .tempdir_in(parent)?;
    fill(draft.path())?;
    let draft = draft.keep();
    fs::set_permissions(&draft, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::rename(&draft, at)
        .with_context(|| format!("moving {} to {}", draft.display(), at.display()))
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
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
