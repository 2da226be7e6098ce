//! Names, comments and strings use the field's words. Structures report, emit and record; they do
//! not tell. The glossary of ARCHITECTURE.md gives the word for each thing.

use anyhow::Result;

use super::tree::Tree;

/// A word that is banned, as a whole word or part of a snake_case name, and what to write.
const BANNED: [(&str, &str); 14] = [
    ("tell", "report, emit or record"),
    ("tells", "reports, emits or records"),
    ("told", "reported, emitted or recorded"),
    ("telling", "reporting"),
    (
        "nobody",
        "name the process that does not: the user, the VMM, the driver",
    ),
    ("somebody", "name it: another process, the user"),
    ("whoever", "name it: the owner, the caller"),
    ("blame", "mark_explained, or name the cause"),
    ("blamed", "explained by"),
    ("accuse", "report"),
    ("accused", "reported"),
    ("excuse", "mark_explained"),
    ("excused", "explained"),
    ("desk", "OutputQueue"),
];

/// Files that may name these words.
const EXEMPT: [&str; 3] = [
    "xtask/src/lint/words.rs",
    "Cargo.lock",
    "lab/driver/COPYING",
];

/// Rooms that still wait for their new words. A room that is clean leaves this list for good.
const LATER: [&str; 6] = [
    "docs/schema/",
    "remap-core/src/correlate",
    "remap-core/src/model",
    "remap-core/src/pipeline",
    "remap-core/src/sink",
    "remap-core/src/vmm",
];

pub fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in tree.all() {
        let exempt = EXEMPT.contains(&file.path.as_str());
        if exempt || LATER.iter().any(|room: &&str| file.path.starts_with(room)) {
            continue;
        }
        for (line, text) in file.lines() {
            let hits = words(text).filter_map(|word| {
                let banned = BANNED.iter();
                let mut same = banned.filter(|(banned, _)| word.eq_ignore_ascii_case(banned));
                same.next()
            });
            let path = &file.path;
            let hits = hits.map(|(word, fix)| format!("{path}:{line}: “{word}”: write {fix}"));
            found.extend(hits);
        }
    }
    Ok(found)
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_prose_are_read_word_by_word() {
        let tree = Tree::of(&[(
            "a.rs",
            "// It was Told so.\nfn retell() {}\nfn tell_all() {}\nlet intellect = 1;\n",
        )]);
        let found = check(&tree).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a.rs:1: “told”"));
        assert!(found[1].starts_with("a.rs:3: “tell”"));
    }
}
