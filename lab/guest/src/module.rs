//! Loading and unloading modules.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use remap_guest::handover::Module;
use rustix::fs::OFlags;
use rustix::system::{delete_module, finit_module};

use crate::{errno, klog};

/// Loads a module; an error has the kernel log's lines of that time.
pub fn load(module: &Module) -> Result<()> {
    let file = File::open(&module.path).with_context(|| format!("opening {}", module.path))?;
    let args =
        CString::new(module.args.as_str()).context("a module's parameters hold a NUL byte")?;
    let before = klog::read().len();
    finit_module(&file, &args, 0).map_err(|error| {
        let what = format!("loading {} {}", module.path, module.args);
        let log = klog::since(before);
        anyhow!(
            "{}: {}; {log}",
            what.trim_end(),
            errno::describe(&error.into())
        )
    })
}

/// Whether the module is in the kernel now.
pub fn is_loaded(module: &Module) -> bool {
    Path::new("/sys/module").join(module.name()).exists()
}

/// Unloads a module; one that is still in use is an error, not a wait.
pub fn unload(module: &Module) -> Result<()> {
    let name = CString::new(module.name())?;
    let flags = i32::try_from(OFlags::NONBLOCK.bits())?;
    delete_module(&name, flags).map_err(|error| {
        let name = module.name();
        let count =
            std::fs::read_to_string(format!("/sys/module/{name}/refcnt")).unwrap_or_default();
        anyhow!(
            "unloading {name}: {}; its reference count is {}",
            errno::describe(&error.into()),
            count.trim()
        )
    })
}
