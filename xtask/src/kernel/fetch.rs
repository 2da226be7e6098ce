//! Fetching a kernel's packages, and unpacking what the lab needs of them.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{Kernel, MODULES, Series, tools};
use crate::process::{command, quiet};
use crate::suite::Suite;
use crate::{apt, archive};

/// Fetches and unpacks everything of `kernel` into `draft`.
pub fn all(kernel: &Kernel, draft: &Path) -> Result<()> {
    let debs = tempfile::tempdir()?;
    let packages = kernel.series.apt()?;
    let get = |name: &str| -> Result<PathBuf> { packages.fetch(name, debs.path()) };
    let release = kernel.release.as_str();
    let version = release.trim_end_matches("-amd64");
    // A flavour has headers of its own, in both parts, and the tools of its version.
    let (version, common) = match version.strip_suffix("-rt") {
        Some(version) => (version, "common-rt"),
        None => (version, "common"),
    };

    let bzimage = image(kernel, draft, &get)?;
    archive::extract(&bzimage, &draft.join("vmlinux"))?;
    fs::remove_file(&bzimage)?;
    let unpack = "find \"$1\" -name '*.ko.xz' -exec xz -d {} +";
    quiet(command("sh", ["-c", unpack, "sh"]).arg(draft.join("lib")))?;

    for name in [
        format!("linux-headers-{release}"),
        format!("linux-headers-{version}-{common}"),
    ] {
        apt::unpack(&get(&name)?, draft, &[])?;
    }
    let kbuild = format!("linux-kbuild-{version}");
    match kernel.series {
        Series::V6_1 => apt::unpack(&get("linux-kbuild-6.1")?, draft, &[])?,
        Series::V6_12 | Series::Rt => apt::unpack(&get(&kbuild)?, draft, &[])?,
        Series::Newest => tools::add(Suite::TrixieBackports, &kbuild, draft, kernel)?,
    }
    adjust_headers(kernel, draft)
}

/// Unpacks the image and the modules; gives the image's path.
fn image(kernel: &Kernel, draft: &Path, get: &dyn Fn(&str) -> Result<PathBuf>) -> Result<PathBuf> {
    let release = &kernel.release;
    let modules = |root: &str| -> Vec<String> {
        let tree = format!("./{root}lib/modules/{release}/kernel");
        MODULES
            .iter()
            .map(|pattern| format!("{tree}/{pattern}"))
            .collect()
    };
    if kernel.series != Series::Newest {
        let mut wanted = vec![format!("./boot/vmlinuz-{release}")];
        wanted.extend(modules(""));
        apt::unpack(&get(&format!("linux-image-{release}"))?, draft, &wanted)?;
        return Ok(draft.join("boot").join(format!("vmlinuz-{release}")));
    }
    // Since 7.2 the image's package has neither; both lie below /usr.
    apt::unpack(&get(&format!("linux-binary-{release}"))?, draft, &[])?;
    apt::unpack(
        &get(&format!("linux-modules-{release}"))?,
        draft,
        &modules("usr/"),
    )?;
    let (from, to) = (draft.join("usr/lib/modules"), draft.join("lib/modules"));
    fs::create_dir(draft.join("lib"))?;
    fs::rename(&from, &to)?;
    Ok(to.join(release).join("vmlinuz"))
}

/// Makes the headers work outside /usr/src, and complete for module BTF.
fn adjust_headers(kernel: &Kernel, draft: &Path) -> Result<()> {
    let inside = |path: PathBuf| -> Result<PathBuf> {
        Ok(draft.join(path.strip_prefix(&kernel.directory)?))
    };
    let headers = inside(kernel.headers())?;
    let makefile = headers.join("Makefile");
    let text = fs::read_to_string(&makefile)?;
    let place = format!("{}/usr/src/", kernel.directory.display());
    let adjusted = text.replace("/usr/src/", &place);
    if adjusted == text {
        bail!("{}: has no line that names /usr/src/…", makefile.display());
    }
    fs::write(&makefile, adjusted)?;
    // kbuild takes the BTF that a module's types build on from here.
    let vmlinux = headers.join("vmlinux");
    if !vmlinux.exists() && kernel.series != Series::V6_1 {
        fs::copy(draft.join("vmlinux"), &vmlinux)?;
    }
    Ok(())
}
