//! The tracepoints of modules: which one is loaded or unloaded while the programs run.

use aya::{Ebpf, programs::RawTracePoint};
use remap_common::module::Change;
use remap_core::printable::from_bytes;
use zerocopy::FromBytes as _;

use super::error::one_line;

/// The programs, named after their tracepoints.
const PROGRAMS: [&str; 2] = ["module_load", "module_free"];

/// The impact if they cannot be attached.
const IMPACT: &str = "modules that are loaded during the trace are not traced";

/// A module that was loaded or unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModuleEvent {
    /// Its name; empty if it could not be read.
    pub name: String,
    /// Whether it was loaded.
    pub loaded: bool,
}

impl ModuleEvent {
    /// Parses a record of the module ring; `None` if it is too short.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (change, _) = Change::ref_from_prefix(bytes).ok()?;
        let end = change.name.iter().position(|byte| *byte == 0);
        let name = &change.name[..end.unwrap_or(change.name.len())];
        Some(Self {
            name: from_bytes(name),
            loaded: change.loaded != 0,
        })
    }
}

/// Attaches the programs. Returns a sentence if that fails.
pub(super) fn watch(ebpf: &mut Ebpf) -> Option<String> {
    PROGRAMS.iter().find_map(|name| {
        let reason = attach(ebpf, name).err()?;
        Some(format!("no tracepoint {name} ({reason}): {IMPACT}"))
    })
}

fn attach(ebpf: &mut Ebpf, name: &str) -> Result<(), String> {
    let program = ebpf.program_mut(name);
    let program = program.ok_or_else(|| format!("the object has no program {name}"))?;
    let program: &mut RawTracePoint = program.try_into().map_err(|error| one_line(&error))?;
    program.load().map_err(|error| one_line(&error))?;
    program.attach(name).map_err(|error| one_line(&error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use remap_common::module::NAME_BYTES;
    use zerocopy::IntoBytes as _;

    use super::*;

    #[test]
    fn an_event_has_a_name_and_a_direction() {
        let mut name = [0; NAME_BYTES];
        name[..4].copy_from_slice(b"vfio");
        let raw = Change { name, loaded: 1 };
        let expected = ModuleEvent {
            name: "vfio".to_owned(),
            loaded: true,
        };
        assert_eq!(ModuleEvent::parse(raw.as_bytes()), Some(expected));
        assert_eq!(ModuleEvent::parse(&raw.as_bytes()[..NAME_BYTES]), None);
    }
}
