//! Modules that are loaded, unloaded and loaded again while the programs run: a hook in a module
//! that is gone is dead, even when the module comes back.

use std::io;

use aya::{
    maps::{MapData, RingBuf},
    programs::RawTracePoint,
};
use remap_common::module::Change;
use zerocopy::FromBytes as _;

use super::{
    load::{LoadError, Probes, chain},
    table::TABLE,
    tell,
};
use crate::kernel::{Kernel, layout::measure};

/// The programs on the tracepoints of modules.
const PROGRAMS: [&str; 2] = ["module_load", "module_free"];

/// Said where they cannot be attached.
const WITHOUT: &str =
    "what a module brings that is loaded during the trace is not seen until the trace starts again";

/// What a change of the modules means for the programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// This many hooks were put in place.
    Hooked(usize),
    /// The kernel has structures now that were not there to be measured: the programs must be
    /// loaded again.
    Other,
}

/// A change as the programs tell it: the module's name, and whether it came. `None` for bytes that
/// are none.
pub fn change(bytes: &[u8]) -> Option<(String, bool)> {
    let (change, _) = Change::ref_from_prefix(bytes).ok()?;
    let end = change.name.iter().position(|byte| *byte == 0);
    let name = &change.name[..end.unwrap_or(change.name.len())];
    Some((
        String::from_utf8_lossy(name).into_owned(),
        change.loaded != 0,
    ))
}

impl Probes {
    /// Watches modules come and go. Answers a sentence if that cannot be.
    pub(super) fn watch_modules(&mut self) -> Option<String> {
        for name in PROGRAMS {
            if let Err(reason) = self.watch(name) {
                return Some(format!("no tracepoint {name} ({reason}): {WITHOUT}"));
            }
        }
        None
    }

    fn watch(&mut self, name: &str) -> Result<(), String> {
        let program = self.ebpf.program_mut(name);
        let program = program.ok_or_else(|| format!("the object has no program {name}"))?;
        let program: &mut RawTracePoint = program.try_into().map_err(|error| chain(&error))?;
        program.load().map_err(|error| chain(&error))?;
        program.attach(name).map_err(|error| chain(&error))?;
        Ok(())
    }

    /// The ring in which modules are told; can be taken once.
    ///
    /// # Errors
    /// If it was taken before.
    pub fn take_modules(&mut self) -> io::Result<RingBuf<MapData>> {
        let map = self.ebpf.take_map("MODULES");
        let map = map.ok_or_else(|| io::Error::other("the ring MODULES was taken before"))?;
        RingBuf::try_from(map).map_err(io::Error::other)
    }

    /// A module goes: the hooks in its functions are dead. Answers how many those are.
    ///
    /// # Errors
    /// If a link cannot be asked what it has missed.
    pub fn release_module(&mut self, module: &str) -> io::Result<usize> {
        let mut released = 0;
        for at in 0..self.hooks.len() {
            if self.hooks[at].module == module && !self.hooks[at].links.is_empty() {
                self.retire(at)?;
                released += 1;
            }
        }
        Ok(released)
    }

    /// A module was loaded: puts every hook in place that it has a function for.
    ///
    /// # Errors
    /// If the kernel can no longer be looked at, or the programs not be told of it.
    pub fn adopt_modules(&mut self) -> Result<Adopted, LoadError> {
        let kernel = Kernel::running()?;
        if measure(&kernel).layout != self.layout {
            return Ok(Adopted::Other);
        }
        if let Some(address) = kernel.symbols.address_of("vfio_device_fops") {
            tell::operations(&mut self.ebpf, address).map_err(LoadError::Loader)?;
        }
        let before = self.live();
        for row in TABLE {
            // What is missing was said when the trace began, or is another module's.
            let _ = self.attach_row(row, &kernel);
        }
        Ok(Adopted::Hooked(self.live() - before))
    }

    fn live(&self) -> usize {
        let live = self.hooks.iter().filter(|hook| !hook.links.is_empty());
        live.count()
    }
}

#[cfg(test)]
mod tests {
    use remap_common::module::NAME_BYTES;
    use zerocopy::IntoBytes as _;

    use super::*;

    #[test]
    fn a_change_has_a_name_and_a_direction() {
        let mut name = [0; NAME_BYTES];
        name[..4].copy_from_slice(b"vfio");
        let told = Change { name, loaded: 1 };
        assert_eq!(change(told.as_bytes()), Some(("vfio".to_owned(), true)));
        assert_eq!(change(&told.as_bytes()[..NAME_BYTES]), None);
    }
}
