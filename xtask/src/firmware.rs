//! The firmware of the virtual machines that run inside the guest, assembled
//! from `lab/firmware`.

use fs_err as fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::process::{command, quiet};

/// Where the guest finds it, below its root.
const PLACE: &str = "lib/remap/firmware.bin";
/// The last 64 KiB below 4 GiB, where an x86 processor starts.
const ORIGIN: &str = "0xffff0000";
/// The size of the image: QEMU's `-bios` takes multiples of 64 KiB.
const SIZE: u64 = 64 << 10;

/// A folder to be copied over the guest's root, with the firmware in it.
pub fn folder() -> Result<PathBuf> {
    let source = cache::root().join("lab/firmware/firmware.S");
    let text = fs::read(&source)?;
    cache::built("lab-firmware", &text, |draft| {
        let work = tempfile::tempdir().context("making a folder for the firmware's build")?;
        let (object, image) = (work.path().join("firmware.o"), draft.join(PLACE));
        fs::create_dir_all(draft.join("lib/remap"))?;
        let mut assemble = command("as", ["--32", "--fatal-warnings", "-o"]);
        quiet(assemble.arg(&object).arg(&source))?;
        let mut link = command("ld", ["-m", "elf_i386", "-Ttext", ORIGIN, "--entry=real"]);
        quiet(
            link.args(["--oformat=binary", "-o"])
                .arg(&image)
                .arg(&object),
        )?;
        match fs::metadata(&image)?.len() {
            SIZE => Ok(()),
            size => bail!("the firmware has {size} bytes instead of {SIZE}"),
        }
    })
}
