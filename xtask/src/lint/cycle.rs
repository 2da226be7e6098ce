//! Modules of one crate depend on each other without a circle.
//!
//! The graph is built from the paths in the source: `use` declarations and the paths of
//! expressions and types, `crate::`, `self::`, `super::` and imported modules resolved. A name that
//! a module re-exports counts for the module that defines it. Tests and the arguments of macros are
//! left out, and so is what a child uses of its parents; methods have no paths, so two modules may still share a type's `impl` blocks.

mod graph;
mod source;

use anyhow::Result;

use super::tree::Tree;

pub fn check(tree: &Tree) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for root in tree.all().filter(|file| is_root(&file.path)) {
        let modules = source::read(tree, &root.path)?;
        let circles = graph::circles(&source::edges(&modules));
        found.extend(circles.iter().map(|circle| {
            format!(
                "{}: import circle {}: move what both sides need into a third module, or pass it as an argument",
                root.path,
                circle.join(" → ")
            )
        }));
    }
    Ok(found)
}

fn is_root(path: &str) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).unwrap()
    }

    #[test]
    fn a_circle_is_found_through_every_kind_of_path() {
        let root = ("src/lib.rs", "mod a; mod b; mod c;");
        let a = ("src/a.rs", "use crate::b::B; pub struct A;");
        let b = ("src/b.rs", "pub struct B; fn f() { super::c::g() }");
        let c = ("src/c.rs", "use super::a; pub fn g() -> a::A { a::A }");
        let found = circles(&[root, a, b, c]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("a → b → c → a"), "{found:?}");
    }

    #[test]
    fn a_re_export_counts_for_the_module_that_defines_it() {
        let root = ("src/lib.rs", "mod a;");
        let a = ("src/a/mod.rs", "mod x; mod y; pub use x::X; pub use y::Y;");
        let x = ("src/a/x.rs", "pub struct X;");
        let y = ("src/a/y.rs", "use super::X; pub struct Y(X);");
        assert_eq!(circles(&[root, a, x, y]), Vec::<String>::new());
        let x = ("src/a/x.rs", "use super::Y; pub struct X(Y);");
        assert_eq!(circles(&[root, a, x, y]).len(), 1);
    }

    #[test]
    fn a_child_may_use_what_its_parents_define() {
        let root = ("src/lib.rs", "mod a;");
        let x = ("src/a/x.rs", "use super::P; pub struct X(P);");
        let a = ("src/a/mod.rs", "mod x; pub struct P; fn f(_: x::X) {}");
        assert_eq!(circles(&[root, a, x]), Vec::<String>::new());
    }

    #[test]
    fn tests_do_not_count() {
        let root = ("src/lib.rs", "mod a; mod b;");
        let a = (
            "src/a.rs",
            "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
        );
        let b = ("src/b.rs", "use crate::a::A; pub struct B(A);");
        assert_eq!(circles(&[root, a, b]), Vec::<String>::new());
    }
}
