//! Names, comments and strings use the field's words, not those of people: structures report, emit,
//! store and remove. The glossary of ARCHITECTURE.md has the words.

use anyhow::Result;

use super::tree::Tree;

/// A word that is banned, as a whole word or part of a snake_case name, and what to write.
const BANNED: [(&str, &str); 20] = [
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
    ("learns", "stores or reads"),
    ("learned", "stored or read"),
    ("forgets", "removes or drops"),
    ("remembers", "stores"),
    ("knows", "has, stores or supports"),
    ("vain", "without effect, without an answer"),
];

/// Files that may name these words.
const EXEMPT: [&str; 3] = [
    "xtask/src/lint/words.rs",
    "Cargo.lock",
    "lab/driver/COPYING",
];

pub fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in tree.all() {
        if EXEMPT.contains(&file.path.as_str()) {
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
