//! A C, assembler or make file opens with its SPDX line: the kernel's sources are GPL-2.0, all else
//! is not. Of Rust files the crate's `license` suffices, which every manifest has.

use anyhow::Result;

use super::tree::{File, Tree};

const SUFFIXES: [&str; 4] = [".c", ".h", ".S", "Kbuild"];

pub fn check(tree: &Tree) -> Result<Vec<String>> {
    let sources = tree
        .all()
        .filter(|file| SUFFIXES.iter().any(|suffix| file.path.ends_with(suffix)));
    let bare = sources.filter(|file| !has_line(file)).map(|file| {
        let wanted = match file.path.starts_with("lab/driver/") {
            true => "GPL-2.0-only",
            false => "MIT OR Apache-2.0",
        };
        format!(
            "{}: its first line must be “SPDX-License-Identifier: {wanted}” in a comment",
            file.path
        )
    });
    let manifests = tree.ending("/Cargo.toml");
    let unlicensed = manifests
        .filter(|file| !file.text.lines().any(|line| line.starts_with("license")))
        .map(|file| format!("{}: add license.workspace = true", file.path));
    Ok(bare.chain(unlicensed).collect())
}

fn has_line(file: &File) -> bool {
    let first = file.text.lines().next().unwrap_or_default();
    first.contains("SPDX-License-Identifier: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts() {
        let line = "// SPDX-License-Identifier: GPL-2.0-only\n";
        let tree = Tree::of(&[
            ("lab/driver/a.c", line),
            ("lab/driver/b.c", "int b;\n"),
            ("x/Cargo.toml", "license.workspace = true\n"),
            ("y/Cargo.toml", ""),
        ]);
        let found = check(&tree).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("b.c") && found[0].contains("GPL-2.0-only"));
    }
}
