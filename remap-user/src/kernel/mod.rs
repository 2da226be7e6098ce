//! What the running kernel looks like: its types, its symbols, and which form a hook has on it.
//!
//! `btf`, `layout` and `shape` are pure over bytes and names; only [`Kernel::running`] reads files.

pub mod btf;
pub mod layout;
pub mod shape;
pub mod symbol;

use std::{fs, io, path::Path, sync::Arc};

use btf::Btf;
use symbol::Symbols;

use crate::probe::table;

/// Where the kernel shows its own types (`/sys/kernel/btf/<module>` for a module's).
const BTF: &str = "/sys/kernel/btf";

/// The variables of the kernel whose addresses the programs compare against.
const VARIABLES: &[&str] = &["vfio_device_fops"];

/// The types and symbols of the running kernel.
pub struct Kernel {
    /// The types of the core kernel.
    pub core: Arc<Btf>,
    /// The types of the `vfio` module, on top of the core's; `None` where it is not loaded, is
    /// built in, or has no BTF.
    pub vfio: Option<Btf>,
    /// Which of the functions that the hooks want can be probed.
    pub symbols: Symbols,
}

/// Why the running kernel cannot be looked at.
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
    /// BTF that this version of remap does not understand.
    #[error("cannot understand {path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// The error.
        source: btf::BtfError,
    },
}

impl Kernel {
    /// Reads the types and symbols of the running kernel.
    ///
    /// # Errors
    /// If the core kernel's BTF or the symbol table cannot be read or understood.
    pub fn running() -> Result<Self, KernelError> {
        let path = Path::new(BTF).join("vmlinux");
        let core = Arc::new(parse(&path, read(&path)?, None)?);
        let path = Path::new(BTF).join("vfio");
        let vfio = match fs::read(&path) {
            Ok(bytes) => Some(parse(&path, bytes, Some(&core))?),
            Err(_) => None,
        };
        let path = Path::new("/proc/kallsyms");
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        Ok(Self {
            core,
            vfio,
            symbols: Symbols::parse(&text, &table::functions(), VARIABLES),
        })
    }
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
