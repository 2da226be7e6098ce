//! VFIO and iommufd rebuilt from the kernel's own source with the options that
//! Debian leaves out, so that a device has a node of its own
//! (`/dev/vfio/devices/vfioN`) beside its group.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Kernel, Series};
use crate::outcome::Usage;
use crate::process::{command, quiet, step};
use crate::{apt, cache};

/// The configuration of the modules, and of every module that is built against them.
const OPTIONS: [&str; 2] = ["CONFIG_IOMMUFD=m", "CONFIG_VFIO_DEVICE_CDEV=y"];
const FLAGS: &str = "-DCONFIG_IOMMUFD_MODULE=1 -DCONFIG_VFIO_DEVICE_CDEV=1";
/// The folders and files of the source that are built, or included.
const SOURCES: &[&str] = &[
    "drivers/vfio/*",
    "drivers/iommu/iommufd/*",
    "drivers/iommu/*.h",
    "lib/interval_tree.c",
];
/// The modules, and where the kernel's tree has them.
const MODULES: &[(&str, &str)] = &[
    ("iommu/iommufd/iommufd.ko", "drivers/iommu/iommufd"),
    ("vfio/vfio.ko", "drivers/vfio"),
    ("vfio/vfio_iommu_type1.ko", "drivers/vfio"),
    ("vfio/pci/vfio-pci-core.ko", "drivers/vfio/pci"),
    ("vfio/pci/vfio-pci.ko", "drivers/vfio/pci"),
];
/// The symbols of the modules, below the variant's folder.
const SYMBOLS: &str = "Module.symvers";
/// Raised when what is built changes.
const RECIPE: &str = "1";

/// The series that can be had so.
pub const SERIES: Series = Series::V6_12;

impl Kernel {
    /// The same kernel with rebuilt modules; they are built once.
    pub fn with_cdev(self) -> Result<Kernel> {
        if self.series != SERIES {
            let text = format!("--cdev is only available on {}", SERIES.label());
            return Err(Usage(text).into());
        }
        let _lock = cache::lock()?;
        let at = cache::directory()?
            .join("kernels")
            .join(format!("{}-cdev-{RECIPE}", self.release));
        cache::entry(&at, |draft| {
            let what = format!(
                "rebuilding VFIO of {} with iommufd (150 MB of source)",
                self.release
            );
            step(&what, || build(&self, draft))
        })?;
        Ok(Kernel {
            cdev: Some(at),
            ..self
        })
    }
}

/// The arguments of `make` for a module that is built against the variant in `at`.
pub fn make_args(at: &Path) -> Vec<String> {
    let symbols = format!("KBUILD_EXTRA_SYMBOLS={}", at.join(SYMBOLS).display());
    let options = OPTIONS.iter().map(|&option| option.to_owned());
    options.chain([symbols]).collect()
}

/// The arguments of the compiler then.
pub fn flags() -> &'static str {
    FLAGS
}

/// The modules' tree of the variant in `at`.
pub fn modules(at: &Path) -> PathBuf {
    at.join("modules")
}

fn build(kernel: &Kernel, draft: &Path) -> Result<()> {
    let work = tempfile::tempdir().context("making a folder for the modules' build")?;
    let source = fetch(kernel, work.path())?;
    let tree = work.path().join("tree");
    lay_out(&source, &tree)?;
    let mut make = command("make", ["-C"]);
    make.arg(kernel.headers())
        .arg(format!("M={}", tree.display()))
        .args(kernel.make_args())
        .args(OPTIONS)
        // Not ours to build: they have no part in this.
        .args(["CONFIG_VFIO_MDEV=", "CONFIG_VFIO_FSL_MC=", "-j2", "modules"])
        .arg(format!("KCFLAGS={FLAGS}"));
    quiet(&mut make)?;
    // The rest of the tree stays as it is.
    let modules = modules(draft);
    quiet(command("cp", ["-a"]).arg(kernel.modules()).arg(&modules))?;
    for (built, folder) in MODULES {
        let name = Path::new(built).file_name().unwrap_or_default();
        let folder = modules.join("kernel").join(folder);
        fs::create_dir_all(&folder)?;
        let mut strip = command("objcopy", ["--strip-debug"]);
        quiet(strip.arg(tree.join(built)).arg(folder.join(name)))?;
    }
    fs::copy(tree.join(SYMBOLS), draft.join(SYMBOLS))?;
    Ok(())
}

/// Unpacks what is needed of the kernel's source; gives its root.
fn fetch(kernel: &Kernel, work: &Path) -> Result<PathBuf> {
    let apt = kernel.series.apt()?;
    let image = format!("linux-image-{}", kernel.release);
    // The source of just this build: the interface to the kernel proper must match.
    let version = apt.candidate(&image)?.version;
    let name = format!("linux-source-{}", kernel.series.label());
    let deb = apt.fetch_version(&name, &version, work).with_context(|| {
        format!(
            "the source of {} (try: cargo xtask setup --refresh)",
            kernel.release
        )
    })?;
    let archive = format!("./usr/src/{name}.tar.xz");
    apt::unpack(&deb, work, std::slice::from_ref(&archive))?;
    let mut tar = command("tar", ["-xJf"]);
    tar.arg(work.join(&archive))
        .arg("-C")
        .arg(work)
        .arg("--wildcards");
    for pattern in SOURCES {
        tar.arg(format!("{name}/{pattern}"));
    }
    quiet(&mut tar)?;
    Ok(work.join(name))
}

/// Lays the sources out as modules outside of the kernel's tree.
fn lay_out(source: &Path, tree: &Path) -> Result<()> {
    fs::create_dir(tree)?;
    for folder in ["vfio", "iommu"] {
        let (from, to) = (source.join("drivers").join(folder), tree.join(folder));
        fs::rename(&from, &to)?;
    }
    fs::write(tree.join("Kbuild"), "obj-m := iommu/iommufd/ vfio/\n")?;
    let file = source.join("lib/interval_tree.c");
    let text = fs::read_to_string(&file)?;
    let iommufd = tree.join("iommu/iommufd");
    fs::write(iommufd.join("span.c"), span(&text)?)?;
    let makefile = iommufd.join("Makefile");
    let text = fs::read_to_string(&makefile)?;
    fs::write(&makefile, format!("{text}\niommufd-y += span.o\n"))?;
    Ok(())
}

/// The part of the kernel's library that only iommufd uses, which a kernel
/// without iommufd leaves out (`CONFIG_INTERVAL_TREE_SPAN_ITER`).
fn span(interval_tree: &str) -> Result<String> {
    let part = interval_tree
        .split_once("#ifdef CONFIG_INTERVAL_TREE_SPAN_ITER\n")
        .and_then(|(_, rest)| rest.rsplit_once("#endif"));
    let Some((part, _)) = part else {
        bail!("lib/interval_tree.c has no part for CONFIG_INTERVAL_TREE_SPAN_ITER");
    };
    Ok(format!(
        "#include <linux/interval_tree.h>\n#include <linux/export.h>\n{part}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_for_iommufd_is_taken_out() {
        let text = "a\n#ifdef CONFIG_INTERVAL_TREE_SPAN_ITER\nb\n#endif /* x */\n";
        assert!(span(text).unwrap().ends_with("export.h>\nb\n"));
        assert!(span("a\n").is_err());
    }
}
