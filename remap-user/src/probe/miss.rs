//! Which hooks have missed what: runs of programs that never happened, by program and function.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd as _,
};

use super::{
    load::{Hook, Probes},
    missed::{missed, skipped},
    table::tells,
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
    /// Whether each is a record that is lost: not of a program that only forgets what is gone.
    pub record: bool,
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
    /// How many records they are; those that the kernel does not count are not among them.
    pub fn total(&self) -> u64 {
        let records = self.by.iter().filter(|miss| miss.record);
        records.map(|miss| miss.count).sum()
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
            Some(count) => {
                let same = |miss: &&mut Miss| {
                    (miss.reason, miss.program, miss.function.as_deref())
                        == (reason, program, function)
                };
                match self.by.iter_mut().find(same) {
                    Some(miss) => miss.count += count,
                    None => self.by.push(Miss {
                        reason,
                        program,
                        function: function.map(str::to_owned),
                        count,
                        record: tells(program),
                    }),
                }
            }
        }
    }
}

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
            if link.probed {
                let kprobe = link.kprobe.as_ref();
                let count = kprobe.map(|kprobe| missed(kprobe.as_fd())).transpose()?;
                let function = Some(self.function.as_str());
                to.add(PROBE_MISSED, link.program, function, count.flatten());
            }
        }
        Ok(())
    }
}
