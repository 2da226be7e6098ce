//! Programs of Debian's for the guest: packages fetched with all that they
//! need, unpacked into a folder of the cache, never installed.

use fs_err as fs;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use walkdir::WalkDir;

use crate::apt;
use crate::cache::{self, sha256};
use crate::process::{command, quiet, step};
use crate::suite::Suite;

/// What no program reads to run.
const LEFT_OUT: &[&str] = &["usr/share/doc", "usr/share/man", "usr/share/locale"];
/// Raised when what an overlay holds changes: clones may differ in it.
const RECIPE: &str = "2";

/// Packages, as the command line names them: `SUITE:NAME[,NAME…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    suite: Suite,
    names: Vec<String>,
}

impl Packages {
    /// The folder of [`packages`].
    pub fn folder(&self) -> Result<PathBuf> {
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        packages(self.suite, &names)
    }
}

impl FromStr for Packages {
    type Err = String;

    fn from_str(text: &str) -> Result<Packages, String> {
        let (suite, names) = text
            .split_once(':')
            .ok_or("is not of the form SUITE:NAME[,NAME…]")?;
        let names: Vec<_> = names.split(',').map(str::to_owned).collect();
        // A word that begins with a dash would be an option to apt.
        let good = |name: &String| name.starts_with(|c: char| c.is_ascii_alphanumeric());
        match names.iter().find(|name| !good(name)) {
            Some(name) => Err(format!("`{name}` is not the name of a package")),
            None => Ok(Packages {
                suite: Suite::from_str(suite, false)?,
                names,
            }),
        }
    }
}

/// A folder to be copied over the guest's root: the packages `names` of `suite`
/// whole, and the shared libraries that their programs need. A package whose
/// data they read, and not its libraries, is to be named too.
pub fn packages(suite: Suite, names: &[&str]) -> Result<PathBuf> {
    let what = format!("{} {} {RECIPE}", suite.label(), names.join(" "));
    let first = names.first().context("an overlay of no package")?;
    let hash = &sha256(what.as_bytes())[..8];
    let at = cache::directory()?
        .join("overlays")
        .join(format!("{first}-{}-{hash}", suite.label()));
    let _lock = cache::lock()?;
    cache::entry(&at, |draft| {
        let what = format!("fetching {} of {}", names.join(", "), suite.label());
        step(&what, || fill(suite, names, draft))
    })?;
    Ok(at)
}

/// Unpacks the packages and libraries of [`packages`] into `root`.
pub fn fill(suite: Suite, names: &[&str], root: &Path) -> Result<()> {
    let work = tempfile::tempdir().context("making a folder for packages")?;
    let (debs, tree) = (work.path().join("debs"), work.path().join("tree"));
    fs::create_dir_all(&tree)?;
    let apt = suite.apt()?;
    let files = apt
        .download_closure(names, &debs)
        // The lists may be older than the archive.
        .or_else(|_| {
            apt.update()
                .and_then(|()| apt.download_closure(names, &debs))
        })?;
    for file in &files {
        let file_name = name(file);
        let package = file_name.split('_').next().unwrap_or_default();
        let wanted = names.contains(&package);
        apt::unpack(file, if wanted { root } else { &tree }, &[])?;
    }
    for folder in LEFT_OUT.iter().map(|name| root.join(name)) {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
    }
    libraries(root, &tree)
}

/// Copies to `root` those libraries of `tree` that the files in `root` need.
fn libraries(root: &Path, tree: &Path) -> Result<()> {
    let mut offered: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in paths(tree)? {
        // An absolute link would lead out of the tree; what it names is offered itself.
        if !fs::read_link(&path).is_ok_and(|to| to.is_absolute()) {
            offered.insert(name(&path), path);
        }
    }
    let there = paths(root)?;
    let mut known: BTreeSet<String> = there.iter().map(|path| name(path)).collect();
    let mut missing = BTreeSet::new();
    let mut queue: VecDeque<String> = needed(&there)?.into();
    while let Some(wanted) = queue.pop_front() {
        if !known.insert(wanted.clone()) {
            continue;
        }
        let Some(path) = offered.get(&name(Path::new(&wanted))) else {
            missing.insert(wanted);
            continue;
        };
        // A loader is named by its path, and a library's link becomes the file.
        let to = match wanted.strip_prefix('/') {
            Some(loader) => root.join(loader),
            None => root.join(path.strip_prefix(tree)?),
        };
        fs::create_dir_all(to.parent().context("a library lies in a folder")?)?;
        fs::copy(path, &to)?;
        queue.extend(needed(&[to])?);
    }
    if !missing.is_empty() {
        let names: Vec<_> = missing.into_iter().collect();
        bail!(
            "the packages need libraries that they do not depend on: {}",
            names.join(" ")
        );
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The files and links below `folder`.
fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in WalkDir::new(folder) {
        let entry = entry?;
        if !entry.file_type().is_dir() {
            paths.push(entry.into_path());
        }
    }
    Ok(paths)
}

/// The programs and libraries below `folder`.
pub fn programs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = paths(folder)?;
    paths.retain(|path| is_program(path) && !path.is_symlink());
    Ok(paths)
}

/// Whether a file is a program or library of this machine's: firmware of others
/// may be among the files.
fn is_program(path: &Path) -> bool {
    let mut head = [0; 20];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head[..5] == *b"\x7fELF\x02" && head[18..] == X86_64.to_le_bytes()
}

/// `e_machine` of the guest's programs (elf.h, `EM_X86_64`).
const X86_64: u16 = 62;

/// The names of what the programs and libraries among `files` are linked to.
fn needed(files: &[PathBuf]) -> Result<Vec<String>> {
    let programs: Vec<_> = files.iter().filter(|path| is_program(path)).collect();
    if programs.is_empty() {
        return Ok(Vec::new());
    }
    let printed =
        quiet(command("readelf", ["--wide", "--dynamic", "--program-headers"]).args(programs))?;
    Ok(linked(&String::from_utf8_lossy(&printed.stdout)))
}

/// The libraries that readelf names, and the loaders with their paths.
fn linked(printed: &str) -> Vec<String> {
    let linked = |line: &str| {
        if let Some((_, rest)) = line.split_once("(NEEDED)") {
            return Some(rest.split_once('[')?.1.split(']').next()?.to_owned());
        }
        let path = line
            .split_once("program interpreter: ")?
            .1
            .split(']')
            .next()?;
        Some(path.to_owned())
    };
    printed.lines().filter_map(linked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_with_their_suite() {
        let packages: Packages = "bookworm-backports:qemu-system-x86,seabios"
            .parse()
            .unwrap();
        assert_eq!(packages.suite, Suite::BookwormBackports);
        assert_eq!(packages.names, ["qemu-system-x86", "seabios"]);
        for wrong in ["seabios", "sid:seabios", "bookworm:", "bookworm:-y"] {
            assert!(wrong.parse::<Packages>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn libraries_and_loaders_are_named() {
        let printed = "\
  INTERP         0x000318 0x0000000000000318 0x0000000000000318 0x00001c 0x00001c R   0x1
      [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000e (SONAME)             Library soname: [libown.so.1]
";
        assert_eq!(
            linked(printed),
            ["/lib64/ld-linux-x86-64.so.2", "libc.so.6"]
        );
    }

    #[test]
    fn a_library_brings_what_it_needs_itself() {
        let (root, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = std::env::current_exe().unwrap();
        fs::copy(&own, root.path().join("program")).unwrap();
        assert!(libraries(root.path(), tree.path()).is_err(), "no libraries");
        fs::create_dir_all(tree.path().join("usr/lib")).unwrap();
        for wanted in needed(&[own]).unwrap() {
            let library = tree.path().join("usr/lib").join(name(Path::new(&wanted)));
            fs::write(library, "no program").unwrap();
        }
        libraries(root.path(), tree.path()).unwrap();
        assert!(root.path().join("usr/lib/libc.so.6").exists());
        assert!(root.path().join("lib64/ld-linux-x86-64.so.2").exists());
    }
}
