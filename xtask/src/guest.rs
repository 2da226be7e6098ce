//! What goes into the guest: its root, and the run that it is handed.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use remap_guest::handover::{self, Line, Module, Run};

use crate::build::Binary;
use crate::device::Placed;
use crate::guest_modules::Modules;
use crate::initramfs::Cpio;
use crate::spec::{Driver, Spec};
use crate::{busybox, c, driver};

/// Where the modules that tests load themselves are.
const MODULES: &str = "lib/remap";
/// What every run loads: without it nothing can be assigned.
const VFIO: &[&str] = &["vfio_iommu_type1", "vfio_pci_core", "vfio_pci"];

/// What the port to the host needs.
const VIRTIO: &[&str] = &["virtio_pci", "virtio_console"];

/// Directories of the root beside those that its files need.
const DIRECTORIES: &[&str] = &[
    "bin",
    "dev",
    "etc",
    "lib",
    MODULES,
    "lib/modules",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
];

/// Writes the initial root for `spec` to `at`; returns how many bytes of it are overlays.
pub fn write(spec: &Spec, devices: &[Placed], at: &Path) -> Result<u64> {
    let modules = Modules::read(&spec.kernel.modules())?;
    let mut root = base(spec, &modules)?.finish()?;
    let own = root.len();
    for overlay in &spec.overlays {
        let mut cpio = Cpio::default();
        cpio.tree(overlay)?;
        root.extend(cpio.finish()?);
    }
    let extra = root.len() - own;
    let mut cpio = Cpio::default();
    let run = serde_json::to_vec(&run(spec, devices, &modules)?)?;
    cpio.file(handover::PATH.trim_start_matches('/'), 0o644, &run)?;
    root.extend(cpio.finish()?);
    fs::write(at, root)?;
    Ok(u64::try_from(extra)?)
}

fn base(spec: &Spec, modules: &Modules) -> Result<Cpio> {
    let mut cpio = Cpio::default();
    for name in DIRECTORIES {
        cpio.directory(name)?;
    }
    cpio.copy("init", 0o755, &Binary::Guest.path())?;
    cpio.copy("bin/busybox", 0o755, &busybox::ensure()?)?;
    for applet in busybox::applets()? {
        cpio.symlink(&format!("bin/{applet}"), "busybox")?;
    }
    for binary in spec
        .binaries
        .iter()
        .filter(|&&binary| binary != Binary::Guest)
    {
        cpio.copy(&format!("bin/{}", binary.name()), 0o755, &binary.path())?;
    }
    if spec.binaries.contains(&Binary::LabTests) {
        cpio.copy(&format!("bin/{}", c::COUNTER), 0o755, &c::counter()?)?;
    }
    let tree = format!("lib/modules/{}", spec.kernel.release);
    directories(&mut cpio, &tree, modules)?;
    for path in modules.paths() {
        let name = format!("{tree}/{}", path.display());
        cpio.copy(&name, 0o644, &spec.kernel.modules().join(path))?;
        // The same by its file's name alone, for insmod in tests.
        cpio.symlink(
            &format!("{MODULES}/{}", file_name(path)),
            &format!("/{name}"),
        )?;
    }
    cpio.file(
        &format!("{tree}/modules.dep"),
        0o644,
        modules.dep().as_bytes(),
    )?;
    if let Driver::Built(module) = &spec.driver {
        cpio.copy(&format!("{MODULES}/{}", driver::MODULE), 0o644, module)?;
    }
    Ok(cpio)
}

/// The directories that the modules' paths need, each before what is in it.
fn directories(cpio: &mut Cpio, tree: &str, modules: &Modules) -> Result<()> {
    let mut all: Vec<PathBuf> = modules
        .paths()
        .flat_map(|path| path.ancestors().skip(1))
        .map(PathBuf::from)
        .collect();
    all.sort();
    all.dedup();
    all.iter().try_for_each(|path| {
        cpio.directory(format!("{tree}/{}", path.display()).trim_end_matches('/'))
    })
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The run that the guest is handed.
fn run(spec: &Spec, devices: &[Placed], modules: &Modules) -> Result<Run> {
    if spec.argv.iter().any(|word| word.contains('\0')) {
        bail!("an argument holds a NUL byte, which no program can be given");
    }
    let tree = format!("/lib/modules/{}", spec.kernel.release);
    let ordered = |wanted: &[&str]| -> Result<Vec<Module>> {
        let paths = modules.ordered(wanted)?;
        Ok(paths
            .iter()
            .map(|path| module(format!("{tree}/{}", path.display()), ""))
            .collect())
    };
    // Some series have it built in.
    let virtio: Vec<_> = VIRTIO
        .iter()
        .copied()
        .filter(|name| modules.has(name))
        .collect();
    let line = if spec.icount {
        Line::Serial
    } else {
        Line::Virtio(ordered(&virtio)?)
    };
    let mut wanted = VFIO.to_vec();
    // 6.2 (commit e2d55709398e) made it a part of vfio.
    if modules.has("vfio_virqfd") {
        wanted.insert(0, "vfio_virqfd");
    }
    wanted.extend(&spec.modules);
    let built = matches!(spec.driver, Driver::Built(_));
    let addresses: Vec<_> = devices.iter().map(|placed| placed.bdf.clone()).collect();
    Ok(Run {
        argv: spec.argv.clone(),
        env: vec![
            ("REMAP_LAB".into(), spec.kernel.series.label().into()),
            ("REMAP_LAB_DEVICES".into(), addresses.join(" ")),
            ("RUST_BACKTRACE".into(), "1".into()),
        ],
        line,
        modules: ordered(&wanted)?,
        driver: built.then(|| module(format!("/{MODULES}/{}", driver::MODULE), &spec.driver_args)),
        bind: match (built && !spec.stock, devices.is_empty()) {
            (_, true) => None,
            (true, _) => Some(driver::PCI_DRIVER.into()),
            (false, _) => Some("vfio-pci".into()),
        },
        devices: addresses,
    })
}

fn module(path: String, args: &str) -> Module {
    Module {
        path,
        args: args.to_owned(),
    }
}
