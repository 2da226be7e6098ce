//! Which hooks have missed what: runs of programs that never happened, by program and function.

use std::{collections::BTreeMap, io, os::fd::AsFd as _};

use super::{
    load::{Hook, Probes},
    missed::{missed, skipped},
};

/// The kernel skipped a program because another one was running on that CPU.
pub const RECURSION: &str = "recursion";
/// A kprobe did not fire because another one did, or a kretprobe had no room for one more thread.
pub const PROBE_MISSED: &str = "probe_missed";

/// Runs of one program that never happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Why, as losses are named.
    pub reason: &'static str,
    /// The program.
    pub program: &'static str,
    /// The function that was called meanwhile; `None` where the program is on several.
    pub function: Option<String>,
    /// How often.
    pub count: u64,
}

/// All of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misses {
    /// By program; none has the count 0.
    pub by: Vec<Miss>,
    /// Whether the kernel counts them at all.
    pub known: bool,
}

impl Default for Misses {
    fn default() -> Self {
        Self {
            by: Vec::new(),
            known: true,
        }
    }
}

impl Misses {
    /// How many there are; those that the kernel does not count are not among them.
    pub fn total(&self) -> u64 {
        self.by.iter().map(|miss| miss.count).sum()
    }

    /// Adds what the kernel says of one program on a function, or on several.
    fn add(
        &mut self,
        reason: &'static str,
        program: &'static str,
        function: Option<&str>,
        count: Option<u64>,
    ) {
        match count {
            None => self.known = false,
            Some(0) => {}
            Some(count) => self.by.push(Miss {
                reason,
                program,
                function: function.map(str::to_owned),
                count,
            }),
        }
    }
}

impl Probes {
    /// The runs that the kernel has skipped because another program was running on that CPU.
    ///
    /// # Errors
    /// If a program cannot be asked.
    pub fn skipped(&self) -> io::Result<Misses> {
        let mut functions: BTreeMap<&'static str, Vec<&str>> = BTreeMap::new();
        for hook in &self.hooks {
            for program in &hook.programs {
                functions.entry(program).or_default().push(&hook.function);
            }
        }
        let mut misses = Misses::default();
        for (name, functions) in functions {
            let Some(program) = self.ebpf.program(name) else {
                continue;
            };
            let fd = program.fd().map_err(io::Error::other)?;
            let function = match functions[..] {
                [function] => Some(function),
                _ => None,
            };
            misses.add(RECURSION, name, function, skipped(fd.as_fd())?);
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
            if let Some(kprobe) = &link.kprobe {
                let count = missed(kprobe.as_fd())?;
                to.add(PROBE_MISSED, link.program, Some(&self.function), count);
            }
        }
        Ok(())
    }
}
