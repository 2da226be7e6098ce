//! A number of the kernel's uAPI is written once, in `remap_common::uapi` under the kernel's own
//! name, and compared there with vfio-bindings. Everywhere else the name stands.

use anyhow::Result;

use super::tree::{File, Tree};

/// Where numbers may stand: their definitions, the headers of the driver (C has no access to
/// them), and bytes that a test compares with.
const DEFINED: [&str; 3] = [
    "remap-common/src/uapi",
    "xtask/src/lint/uapi.rs",
    "lab/driver/",
];

/// Parts of a line that are a number of VFIO's uAPI.
fn number(line: &str) -> Option<&str> {
    let code = line.split("//").next().unwrap_or_default();
    // Request numbers: type ';' is 0x3b.
    if let Some(at) = code.find("0x3b") {
        let word = &code[at..];
        let end = word.find(|c: char| !c.is_ascii_alphanumeric());
        let word = &word[..end.unwrap_or(word.len())];
        if word.len() == 6 {
            return Some(word);
        }
    }
    // VFIO_DEVICE_FEATURE_SET: no other flag in the tree has this bit.
    code.contains("1 << 17").then_some("1 << 17")
}

pub fn check(tree: &Tree) -> Result<Vec<String>> {
    let elsewhere = |file: &&File| !DEFINED.iter().any(|path| file.path.starts_with(path));
    let mut found = Vec::new();
    for file in tree.ending(".rs").filter(elsewhere) {
        let hits = file
            .lines()
            .filter_map(|(line, text)| Some((line, number(text)?)));
        found.extend(hits.map(|(line, number)| {
            format!(
                "{}:{line}: {number}: use the kernel's name from remap_common::uapi",
                file.path
            )
        }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_flags_are_found() {
        assert_eq!(number("if request == 0x3b6f {"), Some("0x3b6f"));
        assert_eq!(number("let get = 1 << 16 | 1 << 17;"), Some("1 << 17"));
        assert_eq!(number("// 0x3b6f is VFIO_DEVICE_RESET"), None);
        assert_eq!(number("let address = 0x3b6fdeadbeef;"), None);
        assert_eq!(number("const CHUNK: usize = 1 << 16;"), None);
    }
}
