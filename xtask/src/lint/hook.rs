//! A file below `remap-ebpf/src/probe/` is one hook. Its programs are named after it, and it opens
//! with what it traces, what it emits, and what a trace lacks without it.

use anyhow::Result;

use super::tree::{File, Tree};

const ROOM: &str = "remap-ebpf/src/probe/";
/// How a program's name ends.
const FORMS: [&str; 4] = ["_fentry", "_fexit", "_kprobe", "_kretprobe"];
/// Files that serve several functions of one kind, and how their programs' names begin.
const SHARED: [(&str, &[&str]); 4] = [
    (
        "eventfd_ctx_fdget",
        &["eventfd_ctx_fdget_", "eventfd_ctx_fileget_"],
    ),
    ("migration_data", &["data_"]),
    (
        "node",
        &["group_", "container_", "cdev_", "iommufd_", "node_"],
    ),
    ("zap_vma", &["zap_vma_", "vfio_mmap_open_"]),
];
const CONTRACT: [&str; 3] = ["Traces", "Emits", "Without it"];
/// Sends user space names of modules, no records of the ring.
const NO_RECORDS: &str = "module";

pub fn check(tree: &Tree) -> Result<Vec<String>> {
    let own = |file: &&File| file.path.starts_with(ROOM) && !file.path.ends_with("/mod.rs");
    Ok(tree.ending(".rs").filter(own).flat_map(breaks).collect())
}

fn breaks(file: &File) -> Vec<String> {
    let path = &file.path;
    let stem = path.trim_start_matches(ROOM).trim_end_matches(".rs");
    let head: Vec<&str> = file
        .text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    let head = head.join(" ");
    let lacks = CONTRACT
        .into_iter()
        .filter(|word| !(head.contains(word) || stem == NO_RECORDS && *word == "Emits"));
    let mut found: Vec<String> = lacks
        .map(|word| format!("{path}: its header lacks a sentence with “{word}”"))
        .collect();
    let own = format!("{stem}_");
    let shared = SHARED.iter().find(|(name, _)| *name == stem);
    for program in programs(&file.text) {
        let fits = match shared {
            Some((_, prefixes)) => prefixes.iter().any(|prefix| program.starts_with(prefix)),
            None => program.starts_with(&own),
        };
        if !fits {
            found.push(format!(
                "{path}: the program {program} belongs in a file named after its hook"
            ));
        }
    }
    found
}

/// The names of programs in the code.
fn programs(text: &str) -> impl Iterator<Item = &str> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.filter(|word| FORMS.iter().any(|form| word.ends_with(form)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_three_sentences_and_programs_the_name() {
        let good = "//! Traces `x`.\n//! Emits `X`. Without it no x.\npub fn x_fentry(c: C) {}\n";
        let bad = "//! Traces `x`.\npub fn y_kprobe(c: C) {}\n";
        let tree = Tree::of(&[
            ("remap-ebpf/src/probe/x.rs", good),
            ("remap-ebpf/src/probe/z.rs", bad),
            ("remap-ebpf/src/probe/mod.rs", ""),
        ]);
        let found = check(&tree).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[2].contains("y_kprobe"));
    }
}
