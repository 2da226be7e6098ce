//! The lab's kernels: Debian's packages, fetched into the cache and unpacked
//! there, never installed.

mod cdev;
mod choice;
mod fetch;
mod find;
mod tools;

pub use choice::Choice;

use fs_err as fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::cache;
use crate::process::step;

/// A kernel series that the lab boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// Debian 12's own.
    V6_1,
    /// Debian 12's newer one.
    V6_12,
    /// The same with PREEMPT_RT.
    Rt,
    /// The newest in Debian 13's backports.
    Newest,
}

impl Series {
    /// Every series.
    pub const ALL: [Series; 4] = [Series::V6_1, Series::V6_12, Series::Rt, Series::Newest];
    /// Those that run every group of tests; [`Self::Rt`] has one of its own.
    pub const USUAL: [Series; 3] = [Series::V6_1, Series::V6_12, Series::Newest];

    /// `6.1`, `6.12`, `6.12-rt` or `newest`.
    pub fn label(self) -> &'static str {
        match self {
            Series::V6_1 => "6.1",
            Series::V6_12 => "6.12",
            Series::Rt => "6.12-rt",
            Series::Newest => "newest",
        }
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
    /// Its `uname -r`.
    pub release: String,
    directory: PathBuf,
    /// Where the modules with device nodes are, if it is to have them.
    cdev: Option<PathBuf>,
}

impl Kernel {
    /// The uncompressed kernel.
    pub fn vmlinux(&self) -> PathBuf {
        self.directory.join("vmlinux")
    }

    /// The modules' tree, uncompressed, with `kernel/` below it.
    pub fn modules(&self) -> PathBuf {
        match &self.cdev {
            Some(at) => cdev::modules(at),
            None => self.directory.join("lib/modules").join(&self.release),
        }
    }

    /// `7.3` of `7.3.4+deb13-amd64`.
    pub fn number(&self) -> &str {
        let end = self.release.match_indices('.').nth(1);
        end.map_or(&self.release, |(at, _)| &self.release[..at])
    }

    /// The arguments of `make` that name the tools to build a module with.
    pub fn make_args(&self) -> Vec<String> {
        let mut args = match self.series {
            Series::V6_1 | Series::V6_12 | Series::Rt => Vec::new(),
            Series::Newest => tools::make_args(&self.directory),
        };
        if let Some(at) = &self.cdev {
            args.extend(cdev::make_args(at));
        }
        args
    }

    /// The arguments of the compiler for a module.
    pub fn flags(&self) -> &'static str {
        self.cdev.as_ref().map_or("", |_| cdev::flags())
    }

    /// The headers that modules are built against.
    pub fn headers(&self) -> PathBuf {
        self.directory
            .join("usr/src")
            .join(format!("linux-headers-{}", self.release))
    }
}

/// The newest kernel of a series, fetched if the cache has none. A cached one
/// is kept until `refresh`, so that later runs do not ask the archive again.
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
            cdev: None,
        }
    };
    let pointer = kernels.join(format!("{}.release", series.label()));
    if let (Ok(release), false) = (fs::read_to_string(&pointer), refresh) {
        let kernel = at(release);
        if kernel.directory.exists() {
            return Ok(kernel);
        }
    }
    let release = find::release(series, refresh)?;
    let kernel = at(release);
    cache::entry(&kernel.directory, |draft| {
        let what = format!(
            "fetching kernel {} (100 MB) and its headers",
            kernel.release
        );
        step(&what, || fetch::all(&kernel, draft))
    })?;
    fs::write(&pointer, &kernel.release)?;
    Ok(kernel)
}
