//! Which form a hook has on this kernel: pure over BTF and symbols.

use super::{btf::Btf, symbol::Symbols};
use crate::probe::table::{Place, Row};

/// How a hook can be attached here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// fentry or fexit on this function.
    Traced(&'static str),
    /// kprobe or kretprobe on this function.
    Probed(&'static str),
    /// None of the hook's functions is there.
    Absent,
}

/// The best form of a row: the first of its functions that exists, traced where BTF describes it
/// and `tracing` allows, else probed.
pub fn form(row: &Row, core: &Btf, symbols: &Symbols, tracing: bool) -> Form {
    for function in row.functions {
        let Some(module) = symbols.module_of(function) else {
            continue;
        };
        let in_core = module.is_empty();
        if tracing
            && in_core
            && row.place == Place::Core
            && !row.traced.is_empty()
            && core.has_function(function)
        {
            return Form::Traced(function);
        }
        return Form::Probed(function);
    }
    Form::Absent
}
