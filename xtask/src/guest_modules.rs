//! The kernel's modules for the guest: which need which, in which order.

use fs_err as fs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use walkdir::WalkDir;

/// The modules of one kernel.
pub struct Modules {
    /// By the kernel's name for the module (with underscores).
    all: BTreeMap<String, Module>,
}

struct Module {
    /// Its path below the modules' tree.
    path: PathBuf,
    /// The modules that it names as its dependencies.
    needs: Vec<String>,
}

impl Modules {
    /// Reads the tree that a kernel was unpacked to.
    pub fn read(tree: &Path) -> Result<Modules> {
        let mut all = BTreeMap::new();
        for entry in WalkDir::new(tree) {
            let path = entry?.into_path();
            if path.extension().is_some_and(|extension| extension == "ko") {
                let module = Module {
                    path: path.strip_prefix(tree)?.to_path_buf(),
                    needs: dependencies(&fs::read(&path)?),
                };
                all.insert(name(&path), module);
            }
        }
        Ok(Modules { all })
    }

    /// Whether the kernel has this as a module.
    pub fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// The paths of `wanted` and all they need, each after what it needs.
    pub fn ordered(&self, wanted: &[&str]) -> Result<Vec<PathBuf>> {
        let mut order = Vec::new();
        for name in wanted {
            self.visit(name, &mut order)?;
        }
        Ok(order)
    }

    fn visit(&self, name: &str, order: &mut Vec<PathBuf>) -> Result<()> {
        let module = self
            .all
            .get(name)
            .ok_or_else(|| anyhow!("the kernel in the cache has no module {name}"))?;
        if !order.contains(&module.path) {
            // The kernel refuses loops, so this ends.
            for needed in &module.needs {
                self.visit(needed, order)?;
            }
            order.push(module.path.clone());
        }
        Ok(())
    }

    /// `modules.dep`, for modprobe in the guest.
    pub fn dep(&self) -> String {
        let line = |name: &String, module: &Module| {
            let mut needs = self.ordered(&[name]).unwrap_or_default();
            needs.pop();
            let needs: Vec<_> = needs
                .iter()
                .rev()
                .map(|path| format!(" {}", path.display()))
                .collect();
            format!("{}:{}\n", module.path.display(), needs.concat())
        };
        self.all
            .iter()
            .map(|(name, module)| line(name, module))
            .collect()
    }

    /// Every module's path below the tree.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.all.values().map(|module| module.path.as_path())
    }
}

fn name(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .replace('-', "_")
}

/// The `depends=` entry of a module's `.modinfo`: a NUL-terminated string.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..]
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(list: &[(&str, &[&str])]) -> Modules {
        let entry = |(name, needs): &(&str, &[&str])| {
            let needs = needs.iter().map(|&need| need.to_owned()).collect();
            (
                (*name).to_owned(),
                Module {
                    path: format!("kernel/{name}.ko").into(),
                    needs,
                },
            )
        };
        Modules {
            all: list.iter().map(entry).collect(),
        }
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let all = modules(&[
            ("core", &["vfio", "irq"]),
            ("irq", &[]),
            ("pci", &["core", "vfio"]),
            ("vfio", &["irq"]),
        ]);
        let order: Vec<_> = all.ordered(&["pci", "irq"]).unwrap();
        let names: Vec<_> = order.iter().map(|path| name(path)).collect();
        assert_eq!(names, ["irq", "vfio", "core", "pci"]);
        assert!(all.dep().contains("kernel/vfio.ko: kernel/irq.ko\n"));
        assert!(all.ordered(&["absent"]).is_err());
    }

    #[test]
    fn modinfo_is_read() {
        assert_eq!(
            dependencies(b"\x7fELF\0license=GPL\0depends=vfio,irq-bypass\0name=x\0"),
            ["vfio", "irq_bypass"]
        );
        assert!(dependencies(b"\0depends=\0").is_empty());
        assert!(dependencies(b"\x7fELF").is_empty());
    }
}
