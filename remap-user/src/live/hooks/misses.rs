//! Queries the kernel for the program runs that it skipped.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd as _,
};

use aya::Ebpf;
use remap_core::account::{Misses, PROBE_MISSED, RECURSION};

use super::{hook::Hook, lookup::lost};
use crate::live::account::missed_runs::{missed, skipped};

/// The runs that the kernel skipped because another program was running on that CPU.
pub(super) fn of_programs(ebpf: &Ebpf, hooks: &[Hook]) -> io::Result<Misses> {
    // A function whose module was reloaded has two hooks, and is still one function.
    let mut functions: BTreeMap<&'static str, BTreeSet<&str>> = BTreeMap::new();
    for hook in hooks {
        for program in &hook.programs {
            functions.entry(program).or_default().insert(&hook.function);
        }
    }
    let mut misses = Misses::default();
    for (name, functions) in functions {
        let Some(program) = ebpf.program(name) else {
            continue;
        };
        let fd = program.fd().map_err(io::Error::other)?;
        let one = functions.len() == 1;
        let function = functions.into_iter().next().filter(|_| one);
        let count = skipped(fd.as_fd())?;
        misses.add(RECURSION, (name, function), lost(name), count);
    }
    Ok(misses)
}

/// Adds the kprobes of a hook that did not fire, and the returns that its kretprobes had no room
/// for.
pub(super) fn of_kprobes(hook: &Hook, misses: &mut Misses) -> io::Result<()> {
    for link in hook.links.iter().filter(|link| link.probed) {
        let kprobe = link.kprobe.as_ref();
        let count = kprobe.map(|kprobe| missed(kprobe.as_fd())).transpose()?;
        let on = (link.program, Some(hook.function.as_str()));
        misses.add(PROBE_MISSED, on, lost(link.program), count.flatten());
    }
    Ok(())
}
