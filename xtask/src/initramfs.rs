//! The guest's root: cpio archives, one after the other, later ones over
//! earlier ones.

use fs_err as fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// A cpio archive in the "newc" form, as the kernel reads it.
#[derive(Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    /// Adds a directory.
    pub fn directory(&mut self, name: &str) -> Result<()> {
        self.entry(name.as_bytes(), DIRECTORY | 0o755, &[])
    }

    /// Adds a file.
    pub fn file(&mut self, name: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        self.entry(name.as_bytes(), FILE | mode, bytes)
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, name: &str, to: &str) -> Result<()> {
        self.entry(name.as_bytes(), SYMLINK | 0o777, to.as_bytes())
    }

    /// Adds a copy of a file on this machine.
    pub fn copy(&mut self, name: &str, mode: u32, from: &Path) -> Result<()> {
        let bytes = fs::read(from)?;
        self.file(name, mode, &bytes)
    }

    /// Adds everything below `root`, with modes and links as they are.
    pub fn tree(&mut self, root: &Path) -> Result<()> {
        for entry in WalkDir::new(root).min_depth(1).sort_by_file_name() {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type());
            let name = path.strip_prefix(root)?.as_os_str().as_bytes();
            let mode = entry.metadata()?.permissions().mode() & 0o7777;
            if kind.is_dir() {
                self.entry(name, DIRECTORY | mode, &[])?;
            } else if kind.is_symlink() {
                let to = fs::read_link(path)?;
                self.entry(name, SYMLINK | mode, to.as_os_str().as_bytes())?;
            } else if kind.is_file() {
                self.entry(name, FILE | mode, &fs::read(path)?)?;
            } else {
                bail!(
                    "{}: neither a file, a directory nor a link: take it out of the overlay",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// The finished archive.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.entry(b"TRAILER!!!", 0, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, name: &[u8], mode: u32, body: &[u8]) -> Result<()> {
        self.entries += 1;
        let (kind, no_time) = (mode & 0o170_000, 0);
        let links = if kind == DIRECTORY { 2 } else { 1 };
        let size = u32::try_from(body.len()).context("a file of more than 4 GB does not fit")?;
        let name_size = u32::try_from(name.len() + 1)?;
        let fields = [
            self.entries,
            mode,
            0,
            0,
            links,
            no_time,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(body);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_newc() {
        let mut cpio = Cpio::default();
        cpio.file("init", 0o755, b"abcde").unwrap();
        let bytes = cpio.finish().unwrap();
        // ino, mode, uid, gid, nlink, mtime, filesize …
        let head = b"070701000000010000 81ed"
            .iter()
            .filter(|byte| **byte != b' ')
            .copied()
            .collect::<Vec<_>>();
        assert_eq!(&bytes[..22], head);
        assert_eq!(&bytes[54..62], b"00000005");
        assert_eq!(&bytes[94..102], b"00000005");
        assert_eq!(&bytes[110..116], b"init\0\0");
        assert_eq!(&bytes[116..124], b"abcde\0\0\0");
        assert_eq!(&bytes[124..130], b"070701");
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn a_tree_keeps_modes_and_links() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("bin")).unwrap();
        fs::write(root.path().join("bin/tool"), "x").unwrap();
        fs::set_permissions(
            root.path().join("bin/tool"),
            std::fs::Permissions::from_mode(0o750),
        )
        .unwrap();
        std::os::unix::fs::symlink("tool", root.path().join("bin/link")).unwrap();
        let mut cpio = Cpio::default();
        cpio.tree(root.path()).unwrap();
        let text = String::from_utf8_lossy(&cpio.finish().unwrap()).into_owned();
        let at = |what: &str| {
            text.find(what)
                .unwrap_or_else(|| panic!("{what} is missing"))
        };
        assert!(at("000041ed") < at("bin\0"));
        assert!(text.contains("000081e8"), "mode 0750");
        assert!(text.contains("0000a1ff"), "a link");
        assert!(at("bin\0") < at("bin/link\0") && at("bin/link\0") < at("bin/tool\0"));
    }
}
