//! The files that the rules read.

use fs_err as fs;

use anyhow::Result;

use crate::cache;
use crate::process::{command, text};

/// A text file of the repository.
pub struct File {
    /// Its path below the root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Every text file that git tracks or would add.
pub struct Tree {
    files: Vec<File>,
}

impl Tree {
    /// Reads the working tree.
    pub fn read() -> Result<Tree> {
        let words = ["ls-files", "--cached", "--others", "--exclude-standard"];
        let listed = text(command("git", words).current_dir(cache::root()))?;
        let mut files = Vec::new();
        for path in listed.lines() {
            let at = cache::root().join(path);
            // A file that was just removed is still listed; a link's target is listed itself.
            if !at.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
                continue;
            }
            let bytes = fs::read(&at)?;
            if let Ok(text) = String::from_utf8(bytes) {
                let path = path.to_owned();
                files.push(File { path, text });
            }
        }
        Ok(Tree { files })
    }

    /// A tree of made-up files.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let file = |&(path, text): &(&str, &str)| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        Tree {
            files: files.iter().map(file).collect(),
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Those whose names end so.
    pub fn ending(&self, suffix: &'static str) -> impl Iterator<Item = &File> {
        self.all().filter(move |file| file.path.ends_with(suffix))
    }

    /// The file at a path.
    pub fn get(&self, path: &str) -> Option<&File> {
        self.all().find(|file| file.path == path)
    }
}

impl File {
    /// The lines, counted from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(n, line)| (n + 1, line))
    }
}
