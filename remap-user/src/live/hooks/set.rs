//! The hooks that are attached, and those whose module was unloaded.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{Btf, Ebpf};
use remap_core::account::Misses;

use super::{
    attach,
    hook::Hook,
    misses,
    row::{Program, Row},
    shape::{Form, form},
    table::TABLE,
};
use crate::{kernel::Kernel, live::error::one_line};

/// How many threads detach programs.
const DETACHING: u32 = 8;

fn next<T>(all: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    all.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// All hooks of a trace.
pub struct HookSet {
    btf: Btf,
    /// Whether fentry and fexit may be used.
    tracing: bool,
    hooks: Vec<Hook>,
    /// Runs that were missed by the hooks of unloaded modules.
    retired: Misses,
}

impl HookSet {
    pub(in crate::live) fn new(btf: Btf, tracing: bool) -> Self {
        Self {
            btf,
            tracing,
            hooks: Vec::new(),
            retired: Misses::default(),
        }
    }

    /// The types of the core kernel.
    pub(in crate::live) fn btf(&self) -> &Btf {
        &self.btf
    }

    /// How many hooks were attached.
    pub fn count(&self) -> usize {
        self.hooks.len()
    }

    /// Whether the hook of this name was attached.
    pub fn has(&self, hook: &str) -> bool {
        self.hooks.iter().any(|known| known.name == hook)
    }

    fn is_attached(&self, name: &str, function: &str) -> bool {
        let mut live = self.hooks.iter().filter(|hook| hook.is_live());
        live.any(|hook| hook.name == name && hook.function == function)
    }

    fn live_count(&self) -> usize {
        self.hooks.iter().filter(|hook| hook.is_live()).count()
    }

    /// Attaches every hook that a loaded module has a function for. Returns how many are new.
    pub(in crate::live) fn attach_new(&mut self, ebpf: &mut Ebpf, kernel: &Kernel) -> usize {
        let before = self.live_count();
        for row in TABLE {
            // A missing hook was reported when the trace began, or belongs to another module.
            let _ = self.attach(ebpf, row, kernel);
        }
        self.live_count() - before
    }

    /// Attaches one hook in its best form, unless it is attached; if the kernel refuses the traced
    /// form, as kprobes. Fails with the reason if the trace will lack something.
    pub(in crate::live) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        row: &Row,
        kernel: &Kernel,
    ) -> Result<(), String> {
        match form(row, kernel, self.tracing) {
            Form::Absent { lack: false, .. } => Ok(()),
            Form::Absent { reason, .. } => Err(reason),
            Form::Probed(functions) => self.attach_kprobes(ebpf, row, &functions, kernel),
            Form::Traced(function) => {
                let traced = self.is_attached(row.hook, function)
                    || self
                        .attach_programs(ebpf, row.hook, (function, ""), row.traced, true)
                        .is_ok();
                if traced {
                    return Ok(());
                }
                self.attach_kprobes(ebpf, row, &[function.to_owned()], kernel)
            }
        }
    }

    /// Probes each function on its own: a failure of one does not affect the others.
    fn attach_kprobes(
        &mut self,
        ebpf: &mut Ebpf,
        row: &Row,
        functions: &[String],
        kernel: &Kernel,
    ) -> Result<(), String> {
        let failed = functions.iter().filter_map(|function| {
            if self.is_attached(row.hook, function) {
                return None;
            }
            let place = (function.as_str(), kernel.module_of(function));
            let attached = self.attach_programs(ebpf, row.hook, place, row.probed, false);
            attached.err().map(|reason| format!("{function}: {reason}"))
        });
        let failed: Vec<String> = failed.collect();
        if failed.is_empty() {
            Ok(())
        } else {
            Err(failed.join("; "))
        }
    }

    /// Attaches programs to a function of a module: all or none, since an entry without its return
    /// would only fill a map. The return is attached first, so that every call whose entry is seen
    /// is also seen to return.
    fn attach_programs(
        &mut self,
        ebpf: &mut Ebpf,
        hook: &'static str,
        (function, module): (&str, &str),
        programs: &'static [Program],
        traced: bool,
    ) -> Result<(), String> {
        let btf = traced.then_some(&self.btf);
        let mut links = Vec::new();
        for row in programs.iter().rev() {
            let program = ebpf
                .program_mut(row.name)
                .ok_or_else(|| format!("the object has no program {}", row.name))?;
            let link = attach::program(program, row, function, btf);
            links.push(link.map_err(|error| one_line(&error))?);
        }
        self.hooks.push(Hook {
            name: hook,
            function: function.to_owned(),
            programs: programs.iter().map(|program| program.name).collect(),
            module: module.to_owned(),
            links,
        });
        Ok(())
    }

    /// Removes the hooks of an unloaded module; the runs that they missed still count. Returns how
    /// many were removed.
    ///
    /// # Errors
    /// If a link cannot be queried for its missed runs.
    pub(in crate::live) fn remove_module(&mut self, module: &str) -> io::Result<usize> {
        let gone = |hook: &&mut Hook| hook.module == module && hook.is_live();
        let mut removed = 0;
        for hook in self.hooks.iter_mut().filter(gone) {
            misses::of_kprobes(hook, &mut self.retired)?;
            hook.detach();
            removed += 1;
        }
        Ok(removed)
    }

    /// The program runs that the kernel skipped because another program was running on that CPU.
    ///
    /// # Errors
    /// If a program cannot be queried.
    pub fn skipped(&self, ebpf: &Ebpf) -> io::Result<Misses> {
        misses::of_programs(ebpf, &self.hooks)
    }

    /// The kprobes that did not fire, and the returns that a kretprobe had no room for.
    ///
    /// # Errors
    /// If a link cannot be queried.
    pub fn missed(&self) -> io::Result<Misses> {
        let mut misses = self.retired.clone();
        for hook in &self.hooks {
            misses::of_kprobes(hook, &mut misses)?;
        }
        Ok(misses)
    }

    /// Detaches every program, entries before returns. For each the kernel waits until no CPU can be in
    /// it any more: several at once wait together.
    pub(in crate::live) fn detach(&mut self) {
        let links = self.hooks.iter_mut().rev();
        let links: Vec<_> = links.flat_map(|hook| hook.links.drain(..).rev()).collect();
        let links = Mutex::new(links.into_iter());
        let detach = || {
            while let Some(link) = next(&links) {
                drop(link);
            }
        };
        thread::scope(|scope| {
            for _ in 1..DETACHING {
                // Without further threads it takes longer.
                let _ = thread::Builder::new().spawn_scoped(scope, detach);
            }
            detach();
        });
    }
}
