//! The lab's PCI devices: QEMU's arguments for them, and the address of each.

use std::path::Path;

use clap::ValueEnum;

/// A device that can be assigned in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// None at all.
    None,
    /// NVMe: BAR0 16K with MSI-X, BAR2 and BAR4 mappable (16M each, if no run asks for less), FLR.
    Nvme,
    /// QEMU's teaching device: BAR0 1M, raises real interrupts on request.
    Edu,
    /// A network card with four BARs, one of them of I/O ports.
    E1000e,
    /// Shared memory: one small BAR, one large; no interrupts.
    Ivshmem,
    /// Virtio network with AER.
    VirtioNet,
}

/// A device with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which one.
    pub device: Device,
    /// Its address in the guest.
    pub bdf: String,
    /// QEMU's arguments for it.
    pub args: Vec<String>,
}

/// Gives every device its own slot, so its own IOMMU group: the n-th stands at
/// slot n of bus 0 (edu, which is no PCI Express device) or behind a root port
/// in that slot. Buses are numbered in the order of the ports. The large BARs of an NVMe have
/// `bar_mib` MiB.
pub fn place(devices: &[Device], bar_mib: u64, files: &Path) -> Vec<Placed> {
    let mut bus = 0;
    let mut placed = Vec::new();
    for (&device, slot) in devices
        .iter()
        .filter(|&&device| device != Device::None)
        .zip(1..)
    {
        let mut args = Vec::new();
        let bdf = if device == Device::Edu {
            format!("0000:00:{slot:02x}.0")
        } else {
            bus += 1;
            args.extend([
                "-device".into(),
                // From 8 GT/s on the kernel waits after a bus reset for a link state that QEMU does
                // not show of ports whose hotplug is ACPI's (drivers/pci/pci.c,
                // pci_bridge_wait_for_secondary_bus).
                format!(
                    "pcie-root-port,id=rp{slot},chassis={slot},slot={slot},addr={slot:#x},x-speed=5"
                ),
            ]);
            format!("0000:{bus:02x}:00.0")
        };
        args.extend(arguments(device, slot, bar_mib, files));
        placed.push(Placed { device, bdf, args });
    }
    placed
}

fn arguments(device: Device, n: u32, bar_mib: u64, files: &Path) -> Vec<String> {
    let file = |name: &str| files.join(format!("{name}{n}.img")).display().to_string();
    let bus = format!("bus=rp{n}");
    match device {
        Device::None => vec![],
        Device::Nvme => vec![
            "-drive".into(),
            format!(
                "file={},format=raw,if=none,id=disk{n},snapshot=on",
                file("nvme")
            ),
            "-object".into(),
            format!(
                "memory-backend-file,id=pmr{n},share=on,mem-path={},size={bar_mib}M",
                file("pmr")
            ),
            "-device".into(),
            format!("nvme,serial=remap{n},drive=disk{n},{bus},cmb_size_mb={bar_mib},pmrdev=pmr{n}"),
        ],
        Device::Edu => vec!["-device".into(), format!("edu,addr={n:#x}")],
        Device::E1000e => vec!["-device".into(), format!("e1000e,{bus}")],
        Device::Ivshmem => vec![
            "-object".into(),
            format!("memory-backend-ram,id=shm{n},size=64M"),
            "-device".into(),
            format!("ivshmem-plain,memdev=shm{n},{bus}"),
        ],
        Device::VirtioNet => vec!["-device".into(), format!("virtio-net-pci,aer=on,{bus}")],
    }
}

/// The files that the devices' arguments name, with their sizes.
pub fn files(placed: &[Placed], bar_mib: u64) -> impl Iterator<Item = (String, u64)> {
    let numbered = placed
        .iter()
        .zip(1..)
        .filter(|(placed, _)| placed.device == Device::Nvme);
    numbered.flat_map(move |(_, n)| {
        [
            (format!("nvme{n}.img"), 64 << 20),
            (format!("pmr{n}.img"), bar_mib << 20),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_same_every_time() {
        let devices = [Device::Nvme, Device::Edu, Device::None, Device::E1000e];
        let placed = place(&devices, 16, Path::new("/x"));
        let addresses: Vec<_> = placed.iter().map(|placed| placed.bdf.as_str()).collect();
        assert_eq!(addresses, ["0000:01:00.0", "0000:00:02.0", "0000:02:00.0"]);
        assert!(placed[2].args.iter().any(|arg| arg.contains("id=rp3")));
        assert_eq!(
            files(&placed, 16).map(|(name, _)| name).collect::<Vec<_>>(),
            ["nvme1.img", "pmr1.img"]
        );
    }
}
