//! The running kernel: its types, its symbols, the layout of its structures.
//!
//! `btf`, `prototype` and `layout` are pure over bytes and names; only [`Kernel::running`] reads files.

mod address;
pub mod btf;
pub mod layout;
pub mod prototype;
pub mod realtime;
pub mod symbol;

use std::{collections::BTreeSet, fs, io, path::Path, sync::Arc};

use btf::Btf;
use symbol::Symbols;

/// The directory of the kernel's types: `vmlinux`, and a file for each module.
const BTF: &str = "/sys/kernel/btf";

/// The module that drivers of PCI devices build on.
const PCI_CORE: &str = "vfio_pci_core";

/// The variables of the kernel whose addresses the programs compare against or read at.
const VARIABLES: &[&str] = &["vfio_device_fops"];

/// The types and symbols of the running kernel.
pub struct Kernel {
    /// The types of the core kernel.
    pub core: Arc<Btf>,
    /// The types of the `vfio` module, on top of the core's; `None` where it is not loaded, is
    /// built in, or has no BTF.
    pub vfio: Option<Btf>,
    /// `vfio_pci_core` first, then every module that uses it: the drivers of devices.
    pub drivers: Vec<Module>,
    /// Which of the functions that the hooks want can be probed.
    pub symbols: Symbols,
}

/// A loaded module.
pub struct Module {
    /// Its name, as in `/sys/module`.
    pub name: String,
    /// Its types, on top of the core's; `None` where it has none or they cannot be parsed.
    pub types: Option<Btf>,
}

/// Why the types or symbols of the running kernel are not available.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No BTF, or no right to read it.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The error.
        source: io::Error,
    },
    /// BTF that this version of remap cannot parse.
    #[error("cannot parse {path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// The error.
        source: btf::BtfError,
    },
}

impl Kernel {
    /// Reads the types of the running kernel, and its symbols among `functions`.
    ///
    /// # Errors
    /// If the core kernel's BTF or the symbol table cannot be read or parsed.
    pub fn running(functions: &BTreeSet<&str>) -> Result<Self, KernelError> {
        let path = Path::new(BTF).join("vmlinux");
        let core = Arc::new(parse(&path, read(&path)?, None)?);
        let path = Path::new(BTF).join("vfio");
        let vfio = match fs::read(&path) {
            Ok(bytes) => Some(parse(&path, bytes, Some(&core))?),
            Err(_) => None,
        };
        let path = Path::new("/proc/kallsyms");
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let variables = [VARIABLES, &address::VARIABLES].concat();
        Ok(Self {
            drivers: drivers(&core),
            core,
            vfio,
            symbols: Symbols::parse(&text, functions, &variables),
        })
    }

    /// Whether `vfio` is loaded or built in.
    pub fn has_vfio(&self) -> bool {
        let ioctl = self.symbols.module_of("vfio_device_fops_unl_ioctl");
        ioctl.is_some() || self.symbols.has_module("vfio")
    }

    /// The module of a hook's function; empty for the core kernel, and where the module is unknown.
    pub fn module_of(&self, function: &str) -> &str {
        let describes = |module: &&Module| {
            let types = module.types.as_ref();
            types.is_some_and(|types| types.describes(function))
        };
        self.symbols.module_of(function).unwrap_or_else(|| {
            let driver = self.drivers.iter().find(describes);
            driver.map_or("", |module| module.name.as_str())
        })
    }

    /// `vfio_pci_core`, if it is loaded.
    pub fn pci_core(&self) -> &[Module] {
        self.drivers.get(..self.core_count()).unwrap_or_default()
    }

    /// The modules that use `vfio_pci_core`: vendors' drivers, and the kernel's plain one.
    pub fn vendors(&self) -> &[Module] {
        self.drivers.get(self.core_count()..).unwrap_or_default()
    }

    fn core_count(&self) -> usize {
        let first = self.drivers.first();
        usize::from(first.is_some_and(|module| module.name == PCI_CORE))
    }

    /// The types of `vfio_pci_core`; `None` where it is not loaded or has none.
    pub fn pci_core_types(&self) -> Option<&Btf> {
        self.pci_core().first()?.types.as_ref()
    }
}

/// `vfio_pci_core` and its holders, by name.
fn drivers(core: &Arc<Btf>) -> Vec<Module> {
    let module = Path::new("/sys/module").join(PCI_CORE);
    let mut names: Vec<String> = fs::read_dir(module.join("holders"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    if module.exists() {
        names.insert(0, PCI_CORE.to_owned());
    }
    let types = |name: &str| {
        let path = Path::new(BTF).join(name);
        parse(&path, read(&path).ok()?, Some(core)).ok()
    };
    let module = |name: String| Module {
        types: types(&name),
        name,
    };
    names.into_iter().map(module).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, KernelError> {
    fs::read(path).map_err(|source| KernelError::Read {
        path: path.display().to_string(),
        source,
    })
}

fn parse(path: &Path, bytes: Vec<u8>, base: Option<&Arc<Btf>>) -> Result<Btf, KernelError> {
    Btf::parse(bytes, base).map_err(|source| KernelError::Parse {
        path: path.display().to_string(),
        source,
    })
}
