//! The modules of a crate, and what each names of the others.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree};

use super::graph::Edges;
use crate::lint::tree::Tree;

/// A path from the crate's root, without `crate`.
type Path = Vec<String>;

/// One module: a file, with the inline modules in it.
#[derive(Default)]
pub struct Module {
    /// Names that `use` brings in, and what they stand for.
    imports: BTreeMap<String, Path>,
    /// Every path that the module names.
    paths: Vec<Path>,
}

/// Modules by their path; the root's is empty.
pub type Modules = BTreeMap<Path, Module>;

/// Reads the crate of a root file.
pub fn read(tree: &Tree, root: &str) -> Result<Modules> {
    let mut modules = Modules::new();
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    read_file(tree, root, folder, Vec::new(), &mut modules)?;
    Ok(modules)
}

/// Reads a file, and the files of the modules that it declares, which are in `folder`.
fn read_file(
    tree: &Tree,
    file: &str,
    folder: &str,
    path: Path,
    modules: &mut Modules,
) -> Result<()> {
    let text = &tree
        .get(file)
        .with_context(|| format!("{file} is not tracked"))?
        .text;
    let syntax = syn::parse_file(text).with_context(|| format!("parsing {file}"))?;
    let mut reader = Reader {
        path: &path,
        children: declared(&syntax.items),
        module: Module::default(),
    };
    syntax.items.iter().for_each(|item| reader.visit_item(item));
    let Reader {
        children, module, ..
    } = reader;
    modules.insert(path.clone(), module);
    for child in children {
        let below = format!("{folder}/{child}");
        let files = [format!("{below}.rs"), format!("{below}/mod.rs")];
        let path = path.iter().cloned().chain([child]).collect();
        // A `#[path]` module is not of the crate's own tree.
        if let Some(file) = files.iter().find(|file| tree.get(file).is_some()) {
            read_file(tree, file, &below, path, modules)?;
        }
    }
    Ok(())
}

/// Collects what a file declares and names.
struct Reader<'a> {
    path: &'a Path,
    children: Vec<String>,
    module: Module,
}

impl Reader<'_> {
    /// A written path from the crate's root, if it leads into the crate.
    fn rooted(&self, written: &[String]) -> Option<Path> {
        let (first, rest) = written.split_first()?;
        let mut at = self.path.clone();
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop()?;
                let above = rest.iter().take_while(|part| *part == "super").count();
                at.truncate(at.len().checked_sub(above)?);
                at.extend(rest.iter().skip(above).cloned());
                return Some(at);
            }
            child if self.children.iter().any(|known| known == child) => at.push(first.clone()),
            _ => return None,
        }
        at.extend(rest.iter().cloned());
        Some(at)
    }

    fn import(&mut self, tree: &UseTree, before: &mut Path) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
                before.pop();
            }
            UseTree::Name(name) => self.imported(name.ident.to_string(), before, None),
            UseTree::Rename(rename) => {
                self.imported(
                    rename.ident.to_string(),
                    before,
                    Some(rename.rename.to_string()),
                );
            }
            UseTree::Glob(_) => self.imported("*".to_owned(), before, None),
            UseTree::Group(group) => {
                group
                    .items
                    .iter()
                    .for_each(|tree| self.import(tree, before));
            }
        }
    }

    fn imported(&mut self, name: String, before: &[String], renamed: Option<String>) {
        let mut written = before.to_vec();
        if name != "self" {
            written.push(name);
        }
        let known = renamed.or_else(|| written.last().cloned());
        if let (Some(path), Some(known)) = (self.rooted(&written), known) {
            self.module.paths.push(path.clone());
            self.module.imports.insert(known, path);
        }
    }
}

/// The modules that have a file of their own.
fn declared(items: &[Item]) -> Vec<String> {
    let modules = items.iter().filter_map(|item| match item {
        Item::Mod(item) if item.content.is_none() && !is_test(&item.attrs) => {
            Some(item.ident.to_string())
        }
        _ => None,
    });
    modules.collect()
}

/// Whether an item is there for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        match &item.content {
            None => {}
            Some((_, items)) => {
                let mut path = self.path.clone();
                path.push(item.ident.to_string());
                let mut inner = Reader {
                    path: &path,
                    children: declared(items),
                    module: Module::default(),
                };
                items.iter().for_each(|item| inner.visit_item(item));
                self.module.paths.extend(inner.module.paths);
            }
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let written: Path = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if let Some(rooted) = self.rooted(&written) {
            self.module.paths.push(rooted);
        } else if let [first, rest @ ..] = written.as_slice()
            && !rest.is_empty()
            && let Some(imported) = self.module.imports.get(first)
        {
            let whole = imported.iter().chain(rest).cloned().collect();
            self.module.paths.push(whole);
        }
        visit::visit_path(self, path);
    }
}

/// Which module uses which.
pub fn edges(modules: &Modules) -> Edges {
    let mut edges = Edges::new();
    for (from, module) in modules {
        let named = module
            .paths
            .iter()
            .filter_map(|path| definer(path, modules, 8));
        // A child may use what its parents define: it is a part of them.
        let others = named
            .filter(|to| !from.starts_with(to))
            .map(|to| shown(&to));
        edges.insert(shown(from), others.collect());
    }
    edges
}

/// The module that defines what a path names; `None` for a module itself, which is only a prefix
/// of further paths.
fn definer(path: &[String], modules: &Modules, depth: u8) -> Option<Path> {
    let length = (0..=path.len())
        .rev()
        .find(|&length| modules.contains_key(&path[..length]))?;
    let (module, rest) = path.split_at(length);
    let (name, further) = rest.split_first()?;
    let imports = &modules.get(module)?.imports;
    match imports.get(name) {
        Some(target) if depth > 0 => {
            let whole: Path = target.iter().chain(further).cloned().collect();
            definer(&whole, modules, depth - 1)
        }
        _ => Some(module.to_vec()),
    }
}

fn shown(path: &[String]) -> String {
    match path {
        [] => "(root)".to_owned(),
        _ => path.join("::"),
    }
}
