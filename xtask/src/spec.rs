//! What a run of a guest consists of.

use std::path::PathBuf;
use std::time::Duration;

use crate::build::{self, Binary};
use crate::device::Device;
use crate::kernel::Kernel;

/// The driver of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// None: the devices are bound to vfio-pci.
    None,
    /// This file.
    Built(PathBuf),
}

/// One run of a guest.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The kernel.
    pub kernel: Kernel,
    /// Processors.
    pub smp: u32,
    /// Count instructions.
    pub icount: bool,
    /// The driver under test.
    pub driver: Driver,
    /// Its parameters.
    pub driver_args: String,
    /// Bind the devices to vfio-pci all the same.
    pub stock: bool,
    /// Folders that are copied over the guest's root.
    pub overlays: Vec<PathBuf>,
    /// The devices.
    pub devices: Vec<Device>,
    /// The size of an NVMe's large BARs, MiB.
    pub bar_mib: u64,
    /// Modules of the kernel to load beside those of VFIO.
    pub modules: Vec<&'static str>,
    /// Give up after this.
    pub timeout: Duration,
    /// Further arguments for QEMU.
    pub qemu_args: Vec<String>,
    /// Binaries of this workspace that the guest gets.
    pub binaries: Vec<Binary>,
    /// The command; empty: a shell on this terminal.
    pub argv: Vec<String>,
}

impl Spec {
    /// A run of `argv` on `kernel` with the usual machine.
    pub fn new(kernel: Kernel, driver: Driver, argv: Vec<String>) -> Spec {
        Spec {
            kernel,
            smp: 2,
            icount: false,
            driver,
            driver_args: String::new(),
            stock: false,
            overlays: Vec::new(),
            devices: vec![Device::Nvme],
            bar_mib: 16,
            modules: Vec::new(),
            timeout: Duration::from_secs(300),
            qemu_args: Vec::new(),
            binaries: build::LAB.to_vec(),
            argv,
        }
    }
}
