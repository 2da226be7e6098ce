//! A hand-written source file has one job and fits into a reader's head: 450 lines at most.

use anyhow::Result;

use super::tree::Tree;

const MOST: usize = 450;
const SOURCES: [&str; 5] = [".rs", ".c", ".h", ".S", ".sh"];
/// Written by a test.
const GENERATED: &str = "docs/schema/";

pub fn check(tree: &Tree) -> Result<Vec<String>> {
    let source = |path: &str| SOURCES.iter().any(|suffix| path.ends_with(suffix));
    let long = tree.all().filter(|file| source(&file.path));
    let long = long.filter(|file| !file.path.starts_with(GENERATED));
    let long = long.filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > MOST).then(|| {
            format!(
                "{}: {lines} lines: split it by job, {MOST} is the limit",
                file.path
            )
        })
    });
    Ok(long.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_for_sources() {
        let long = "\n".repeat(MOST + 1);
        let tree = Tree::of(&[("a.rs", &long), ("a.json", &long), ("b.rs", &long[1..])]);
        let header = Tree::of(&[("docs/schema/a.h", &long)]);
        assert_eq!(check(&header).unwrap(), Vec::<String>::new());
        let found = check(&tree).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("a.rs: 451 lines"));
    }
}
