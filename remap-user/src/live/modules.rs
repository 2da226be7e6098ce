//! Modules that are loaded and unloaded while a trace runs.

use std::{io, path::Path};

use super::{
    hooks::{row::Place, table::TABLE},
    module_events::ModuleEvent,
    probes::{ModuleHooks, Probes},
    ring::Ring,
    turn::Turn,
};
use crate::exit::{Error, say};

/// The modules that use `vfio_pci_core`.
const VFIO_PCI_CORE_HOLDERS: &str = "/sys/module/vfio_pci_core/holders";

/// What a trace must do after modules were loaded or unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModuleAction {
    /// Nothing.
    None,
    /// Walk again: new hooks were attached.
    Walk,
    /// Load the programs again: they do not fit this kernel any more.
    Reload,
}

/// Watches modules.
pub(super) struct Modules {
    ring: Ring,
    pending: Vec<ModuleEvent>,
}

impl Modules {
    /// Takes the module ring of the programs.
    pub fn new(probes: &mut Probes) -> io::Result<Self> {
        Ok(Self {
            ring: Ring::new(probes.take_module_ring()?)?,
            pending: Vec::new(),
        })
    }

    /// Waits until one is loaded or unloaded.
    pub async fn changed(&mut self) -> io::Result<()> {
        let Self { ring, pending } = self;
        ring.ready().await?;
        ring.take(Turn::begin(), |bytes| {
            pending.extend(ModuleEvent::parse(bytes));
        });
        Ok(())
    }

    /// Attaches the hooks of loaded modules, removes those of unloaded ones, and reports both on
    /// stderr. Without `reattach` it only reports which modules are not traced.
    pub fn apply(&mut self, probes: &mut Probes, reattach: bool) -> Result<ModuleAction, Error> {
        let mut attach = false;
        for event in self.pending.drain(..) {
            if event.loaded && may_have_hooks(&event.name) {
                attach |= reattach;
                if !reattach {
                    say(format_args!(
                        "the module {} was loaded, and is not traced: this trace does not attach again",
                        event.name
                    ));
                }
            } else if !event.loaded {
                remove(&event.name, probes)?;
            }
        }
        if !attach {
            return Ok(ModuleAction::None);
        }
        match probes.attach_new_hooks()? {
            ModuleHooks::Attached(0) => Ok(ModuleAction::None),
            ModuleHooks::Attached(count) => {
                say(format_args!(
                    "modules were loaded: {count} hooks were attached"
                ));
                Ok(ModuleAction::Walk)
            }
            ModuleHooks::LayoutChanged => Ok(ModuleAction::Reload),
        }
    }
}

fn remove(module: &str, probes: &mut Probes) -> Result<(), Error> {
    let removed = probes.hooks.remove_module(module)?;
    if removed > 0 {
        say(format_args!(
            "the module {module} was unloaded: {removed} hooks were removed"
        ));
    }
    Ok(())
}

/// Whether a module may have hooked functions: a module of the table, `vfio_pci_core`, a driver
/// that uses it, or a module whose name is unknown.
fn may_have_hooks(name: &str) -> bool {
    let in_table = TABLE
        .iter()
        .any(|row| matches!(row.place, Place::Module(module) if module == name));
    let is_driver = Path::new(VFIO_PCI_CORE_HOLDERS).join(name).exists();
    name.is_empty() || in_table || name == "vfio_pci_core" || is_driver
}
