//! Asks the kernel which runs of the programs it has skipped.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd as _,
};

use remap_core::account::{Misses, PROBE_MISSED, RECURSION};

use super::{
    load::{Hook, Probes},
    missed::{missed, skipped},
    table::tells,
};

impl Probes {
    /// The runs that the kernel has skipped because another program was running on that CPU.
    ///
    /// # Errors
    /// If a program cannot be asked.
    pub fn skipped(&self) -> io::Result<Misses> {
        // A function whose module came back is hooked anew, and still one.
        let mut functions: BTreeMap<&'static str, BTreeSet<&str>> = BTreeMap::new();
        for hook in &self.hooks {
            for program in &hook.programs {
                functions.entry(program).or_default().insert(&hook.function);
            }
        }
        let mut misses = Misses::default();
        for (name, functions) in functions {
            let Some(program) = self.ebpf.program(name) else {
                continue;
            };
            let fd = program.fd().map_err(io::Error::other)?;
            let one = functions.len() == 1;
            let function = functions.into_iter().next().filter(|_| one);
            misses.add(
                RECURSION,
                (name, function),
                tells(name),
                skipped(fd.as_fd())?,
            );
        }
        Ok(misses)
    }

    /// The kprobes that did not fire, and the returns that a kretprobe had no room for.
    ///
    /// # Errors
    /// If a link cannot be asked.
    pub fn missed(&self) -> io::Result<Misses> {
        let mut misses = self.retired.clone();
        for hook in &self.hooks {
            hook.missed(&mut misses)?;
        }
        Ok(misses)
    }

    /// Takes a hook out whose function is gone; what it has missed still counts.
    pub(super) fn retire(&mut self, at: usize) -> io::Result<()> {
        self.hooks[at].missed(&mut self.retired)?;
        self.hooks[at].detach();
        Ok(())
    }
}

impl Hook {
    fn missed(&self, to: &mut Misses) -> io::Result<()> {
        for link in &self.links {
            if link.probed {
                let kprobe = link.kprobe.as_ref();
                let count = kprobe.map(|kprobe| missed(kprobe.as_fd())).transpose()?;
                let function = Some(self.function.as_str());
                let on = (link.program, function);
                to.add(PROBE_MISSED, on, tells(link.program), count.flatten());
            }
        }
        Ok(())
    }
}
