//! `cargo xtask lab --scenario …`: runs in which a guest needs more than the
//! lab's usual things.

use fs_err as fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use walkdir::WalkDir;

use crate::cache;
use crate::device::Device;
use crate::spec::Spec;
use crate::suite::Suite;
use crate::{firmware, overlay};

/// What happens in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// QEMU migrates a virtual machine and its device there and back, with the driver limping, refusing and not trapping at all
    QemuMigration,
}

impl Scenario {
    /// The command that runs it in the guest.
    pub fn command(self) -> Vec<String> {
        let name = self.to_possible_value();
        let name = name.as_ref().map_or("", |value| value.get_name());
        ["remap-lab-tests", "--scenario", name]
            .map(str::to_owned)
            .to_vec()
    }

    /// Gives the run what the scenario needs.
    pub fn equip(self, spec: &mut Spec) -> Result<()> {
        match self {
            Scenario::QemuMigration => equip_with_qemu(spec),
        }
    }
}

/// The program that runs virtual machines in the guest. The lab's own machine is
/// run by the QEMU of the system.
const QEMU: (Suite, &str, &str) = (
    Suite::BookwormBackports,
    "qemu-system-x86",
    "usr/bin/qemu-system-x86_64",
);

/// An unmodified QEMU with KVM and our firmware, and a device for each end of a
/// migration. NVMe's ASQ (offset 0x28 of BAR 0) is where the firmware
/// counts.
///
/// One processor: with one thread of the host for all, a second one is of no use
/// to machines that do not wait for each other.
pub fn equip_with_qemu(spec: &mut Spec) -> Result<()> {
    spec.overlays.extend([qemu()?, firmware::folder()?]);
    // TCG emulates an AMD processor with SVM.
    spec.modules.push("kvm_amd");
    spec.smp = 1;
    spec.devices = vec![Device::Nvme, Device::Nvme];
    spec.driver_args = format!("registers=0:0x28:8 {}", spec.driver_args)
        .trim_end()
        .to_owned();
    Ok(())
}

/// The one program of its package that is used, with the libraries.
fn qemu() -> Result<PathBuf> {
    let (suite, package, program) = QEMU;
    let whole = overlay::packages(suite, &[package])?;
    let inputs = format!("{} {program}", whole.display());
    cache::built("lab-qemu", inputs.as_bytes(), |draft| {
        copy(&whole, draft, &|path| {
            !path.starts_with("usr/bin") || path == Path::new(program)
        })
    })
}

/// Copies the files below `from` that are `wanted` (by their path below it).
/// Links become what they lead to.
fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry?;
        let path = entry.path().strip_prefix(from)?;
        if !entry.file_type().is_dir() && wanted(path) && entry.path().exists() {
            let to = to.join(path);
            fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_copied() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("usr/bin")).unwrap();
        for name in ["usr/bin/one", "usr/bin/two", "usr/data"] {
            fs::write(from.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/absent", from.path().join("broken")).unwrap();
        copy(from.path(), to.path(), &|path| {
            path != Path::new("usr/bin/two")
        })
        .unwrap();
        let there = |name: &str| to.path().join(name).exists();
        assert!(there("usr/bin/one") && there("usr/data"));
        assert!(!there("usr/bin/two") && !there("broken"));
    }

    #[test]
    fn the_guest_gets_the_name_of_the_command_line() {
        let command = Scenario::QemuMigration.command();
        assert_eq!(command.last().map(String::as_str), Some("qemu-migration"));
    }
}
