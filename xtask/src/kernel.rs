//! The lab's kernels: Debian's packages, fetched into the cache and unpacked
//! there, never installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::apt::{self, Apt};
use crate::outcome::Cannot;
use crate::process::{command, quiet, step};
use crate::{archive, cache};

/// A kernel series that the lab boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Series {
    /// Debian 12's own.
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12's newer one.
    #[value(name = "6.12")]
    V6_12,
}

impl Series {
    /// Every series.
    pub const ALL: [Series; 2] = [Series::V6_1, Series::V6_12];

    /// `6.1` or `6.12`.
    pub fn label(self) -> &'static str {
        match self {
            Series::V6_1 => "6.1",
            Series::V6_12 => "6.12",
        }
    }

    /// What stands before and after the number that Debian counts up.
    fn affixes(self) -> (&'static str, &'static str) {
        match self {
            Series::V6_1 => ("linux-image-6.1.0-", "-amd64"),
            Series::V6_12 => ("linux-image-6.12.", "+deb12-amd64"),
        }
    }

    /// The newest image package among `names`; flavours (rt, cloud, unsigned,
    /// dbg) have more than a number between the affixes.
    fn newest(self, names: &[String]) -> Option<&str> {
        let (before, after) = self.affixes();
        let number = |name: &str| -> Option<u32> {
            name.strip_prefix(before)?.strip_suffix(after)?.parse().ok()
        };
        names
            .iter()
            .filter(|name| number(name).is_some())
            .max_by_key(|name| number(name))
            .map(String::as_str)
    }
}

/// Modules that the lab's runs may want, by folders of the modules' tree. Each
/// pattern matches in every series: tar fails on one that does not.
const MODULES: &[&str] = &[
    "arch/x86/kvm/*",
    "drivers/crypto/ccp/*",
    "drivers/net/tun.ko*",
    "drivers/net/tap.ko*",
    "drivers/nvme/*",
    "drivers/vfio/*",
    "drivers/vhost/*",
    "drivers/*/virtio*.ko*",
    "virt/lib/*",
];

/// A kernel in the cache.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its series.
    pub series: Series,
    /// What `uname -r` says in it.
    pub release: String,
    directory: PathBuf,
}

impl Kernel {
    /// The uncompressed kernel.
    pub fn vmlinux(&self) -> PathBuf {
        self.directory.join("vmlinux")
    }

    /// The modules' tree, uncompressed, with `kernel/` below it.
    pub fn modules(&self) -> PathBuf {
        self.directory.join("lib/modules").join(&self.release)
    }

    /// The headers that modules are built against.
    pub fn headers(&self) -> PathBuf {
        self.directory
            .join("usr/src")
            .join(format!("linux-headers-{}", self.release))
    }
}

/// The newest kernel of a series, fetched if the cache has none. A cached one
/// is kept until `refresh`, so that no run asks the archive in vain.
pub fn ensure(series: Series, refresh: bool) -> Result<Kernel> {
    let kernels = cache::directory()?.join("kernels");
    // What is unpacked is a part of the name: clones may differ in it.
    let recipe = &cache::sha256(MODULES.concat().as_bytes())[..8];
    let at = |release: String| {
        let directory = kernels.join(format!("{release}-{recipe}"));
        Kernel {
            series,
            release,
            directory,
        }
    };
    let pointer = kernels.join(format!("{}.release", series.label()));
    if let (Ok(release), false) = (fs::read_to_string(&pointer), refresh) {
        let kernel = at(release);
        if kernel.directory.exists() {
            return Ok(kernel);
        }
    }
    let image = find(series)?;
    let release = image
        .strip_prefix("linux-image-")
        .context("an image's name")?
        .to_owned();
    let kernel = at(release);
    cache::entry(&kernel.directory, |draft| {
        let what = format!(
            "fetching kernel {} (100 MB) and its headers",
            kernel.release
        );
        step(&what, || fetch(&kernel, &image, draft))
    })?;
    fs::write(&pointer, &kernel.release)
        .with_context(|| format!("writing {}", pointer.display()))?;
    Ok(kernel)
}

/// The newest image package that apt knows.
fn find(series: Series) -> Result<String> {
    let (before, after) = series.affixes();
    let newest = || -> Result<Option<String>> {
        Ok(series
            .newest(&Apt::SYSTEM.names(before)?)
            .map(str::to_owned))
    };
    if let Some(name) = newest()? {
        return Ok(name);
    }
    Apt::SYSTEM.update()?;
    newest()?.ok_or_else(|| {
        let text = format!(
            "apt knows no package {before}NN{after}: add Debian 12's bookworm, bookworm-updates and bookworm-security to its sources"
        );
        Cannot(text).into()
    })
}

/// Fetches and unpacks everything into `draft`.
fn fetch(kernel: &Kernel, image: &str, draft: &Path) -> Result<()> {
    let debs = tempfile::tempdir()?;
    let release = kernel.release.as_str();
    let version = release.trim_end_matches("-amd64");
    let kbuild = match kernel.series {
        Series::V6_1 => "linux-kbuild-6.1".to_owned(),
        Series::V6_12 => format!("linux-kbuild-{version}"),
    };
    let get = |name: &str| -> Result<PathBuf> { Apt::SYSTEM.fetch(name, debs.path()) };
    let mut wanted = vec![format!("./boot/vmlinuz-{release}")];
    wanted.extend(
        MODULES
            .iter()
            .map(|pattern| format!("./lib/modules/{release}/kernel/{pattern}")),
    );
    apt::unpack(&get(image)?, draft, &wanted)?;
    for name in [
        format!("linux-headers-{release}"),
        format!("linux-headers-{version}-common"),
        kbuild,
    ] {
        apt::unpack(&get(&name)?, draft, &[])?;
    }
    let bzimage = draft.join("boot").join(format!("vmlinuz-{release}"));
    archive::extract(&bzimage, &draft.join("vmlinux"))?;
    fs::remove_dir_all(draft.join("boot"))?;
    let unpack = "find \"$1\" -name '*.ko.xz' -exec xz -d {} +";
    quiet(command("sh", ["-c", unpack, "sh"]).arg(draft.join("lib")))?;
    adjust_headers(kernel, draft)
}

/// Makes the headers work outside /usr/src, and complete for module BTF.
fn adjust_headers(kernel: &Kernel, draft: &Path) -> Result<()> {
    let inside = |path: PathBuf| -> Result<PathBuf> {
        Ok(draft.join(path.strip_prefix(&kernel.directory)?))
    };
    let headers = inside(kernel.headers())?;
    let makefile = headers.join("Makefile");
    let text =
        fs::read_to_string(&makefile).with_context(|| format!("reading {}", makefile.display()))?;
    let place = format!("include {}/usr/src/", kernel.directory.display());
    let adjusted = text.replace("include /usr/src/", &place);
    if adjusted == text {
        bail!(
            "{}: has no line that includes /usr/src/…",
            makefile.display()
        );
    }
    fs::write(&makefile, adjusted).with_context(|| format!("writing {}", makefile.display()))?;
    // kbuild takes the BTF that a module's types build on from here.
    let vmlinux = headers.join("vmlinux");
    if !vmlinux.exists() && kernel.series != Series::V6_1 {
        fs::copy(draft.join("vmlinux"), &vmlinux)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_newest_is_chosen_by_number() {
        let known = names(&[
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-47-amd64",
            "linux-image-6.1.0-10-amd64",
        ]);
        assert_eq!(
            Series::V6_1.newest(&known),
            Some("linux-image-6.1.0-47-amd64")
        );
        let known = names(&[
            "linux-image-6.12.99+deb12-amd64",
            "linux-image-6.12.100+deb12-amd64",
        ]);
        assert_eq!(
            Series::V6_12.newest(&known),
            Some("linux-image-6.12.100+deb12-amd64")
        );
    }

    #[test]
    fn flavours_and_other_releases_are_left_out() {
        let known = names(&[
            "linux-image-6.1.0-50-amd64-unsigned",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.1.0-50-rt-amd64",
            "linux-image-6.1.0-50-amd64-dbg",
            "linux-image-6.12.107+deb13-amd64",
            "linux-image-6.12-amd64",
        ]);
        assert_eq!(Series::V6_1.newest(&known), None);
        assert_eq!(Series::V6_12.newest(&known), None);
    }
}
