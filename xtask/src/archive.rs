//! Taking the bootable vmlinux out of a bzImage.
//!
//! An uncompressed kernel boots by PVH in half the time of a bzImage, which
//! would unpack itself under emulation.

use fs_err as fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::{command, quiet};

/// Where the compressed kernel lies in a bzImage, and with what it was packed.
#[derive(Debug, PartialEq, Eq)]
struct Payload<'a> {
    bytes: &'a [u8],
    unpack: &'static [&'static str],
    /// The size of the unpacked kernel, which the build appends.
    size: u32,
}

/// Finds the payload by the boot protocol's header.
fn payload(image: &[u8]) -> Result<Payload<'_>> {
    let word = |at: usize| -> Result<u32> {
        let bytes = image
            .get(at..at + 4)
            .context("the image is shorter than its header")?;
        Ok(u32::from_le_bytes(bytes.try_into()?))
    };
    if image.get(0x202..0x206) != Some(b"HdrS") {
        bail!("the image has no boot protocol header");
    }
    let sectors = match image[0x1f1] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let begin = (sectors + 1) * 512 + usize::try_from(word(0x248)?)?;
    let end = begin + usize::try_from(word(0x24c)?)?;
    let bytes = image
        .get(begin..end)
        .context("the image is shorter than its payload")?;
    let (bytes, size) = bytes.split_last_chunk().context("the payload is empty")?;
    let unpack: &[&str] = match bytes {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => &["xz", "-dc", "--single-stream"],
        [0x28, 0xb5, 0x2f, 0xfd, ..] => &["zstd", "-dcq"],
        _ => bail!("the payload is packed neither by xz nor by zstd"),
    };
    Ok(Payload {
        bytes,
        unpack,
        size: u32::from_le_bytes(*size),
    })
}

/// Writes the vmlinux inside `bzimage` to `vmlinux`.
pub fn extract(bzimage: &Path, vmlinux: &Path) -> Result<()> {
    let image = fs::read(bzimage)?;
    let payload = payload(&image).with_context(|| format!("reading {}", bzimage.display()))?;
    let packed = vmlinux.with_extension("packed");
    fs::write(&packed, payload.bytes)?;
    let (program, args) = payload.unpack.split_first().context("no program")?;
    let unpacked = quiet(command(program, args).arg(&packed))?.stdout;
    if u32::try_from(unpacked.len()) != Ok(payload.size) {
        bail!(
            "{}: unpacked to {} bytes, its header says {}",
            bzimage.display(),
            unpacked.len(),
            payload.size
        );
    }
    fs::remove_file(&packed)?;
    Ok(fs::write(vmlinux, unpacked)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(magic: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024 + 16];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248] = 4;
        image[0x24c] = 12;
        image[1028..1028 + magic.len()].copy_from_slice(magic);
        image[1036..1040].copy_from_slice(&77u32.to_le_bytes());
        image
    }

    #[test]
    fn finds_both_packings() {
        let xz = image(b"\xfd7zXZ\0");
        assert_eq!(payload(&xz).unwrap().unpack[0], "xz");
        let zstd = image(b"\x28\xb5\x2f\xfd");
        let found = payload(&zstd).unwrap();
        assert_eq!(
            (found.unpack[0], found.bytes.len(), found.size),
            ("zstd", 8, 77)
        );
    }

    #[test]
    fn refuses_what_is_no_kernel() {
        assert!(payload(b"not a kernel").is_err());
        assert!(payload(&image(b"BZh")).is_err());
        assert!(payload(&image(b"\xfd7zXZ\0")[..1030]).is_err());
    }
}
