//! Loads the programs into the kernel and attaches them, hook by hook.

use std::{io, os::fd::AsFd as _};

use aya::{
    Btf, Ebpf, EbpfLoader, Endianness,
    maps::{Map, MapData, RingBuf},
    util::nr_cpus,
};
use aya_log::EbpfLogger;
use remap_common::{counter::STRIDE, layout::KernelLayout};
use remap_core::account::{Counters, Misses};
use zerocopy::IntoBytes as _;

use super::{
    attach::{self, Link},
    left,
    table::{self, Need, Row, TABLE},
    tell,
    walk::{self, DeviceFile, Found, Walk},
};
use crate::{
    kernel::{
        Kernel, KernelError,
        layout::{Measured, measure},
        shape::{Form, form},
    },
    source::counters::CounterMap,
};

/// The object that the build script made; empty in a build without a BPF toolchain.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/remap-ebpf"));

/// Said where the kernel does not tell the address by which a device's file is known.
const HIDDEN: &str = "the address of vfio_device_fops is hidden or missing: what was open before \
                      the trace is not found; `sysctl kernel.kptr_restrict=1` shows it to root";

/// How to load.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size of the ring, bytes: a power of two, and at least a page.
    pub ring_bytes: u32,
    /// Whether fentry and fexit may be used; without, every hook is a kprobe.
    pub tracing: bool,
    /// Whether the programs tell about themselves (aya-log).
    pub diagnostics: bool,
}

/// Why the programs cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel does not show its types or symbols.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// This binary was built without the programs.
    #[error("this remap was built without its eBPF programs; build it with `cargo xtask build`")]
    NoObject,
    /// The right to load programs is missing.
    #[error("loading eBPF programs is refused ({0}); run as root, or with CAP_BPF and CAP_PERFMON")]
    Refused(String),
    /// A structure that everything depends on is not as expected.
    #[error("this kernel's BTF has no {0}, so nothing can be traced; see `remap doctor`")]
    Layout(String),
    /// There is nothing to hook yet.
    #[error("the module vfio is not loaded, so there is nothing to trace; `modprobe vfio-pci`")]
    Unloaded,
    /// An essential hook is not to be had.
    #[error("the hook {hook} cannot be attached ({reason}): {without}; see `remap doctor`")]
    Essential {
        /// The hook.
        hook: &'static str,
        /// Why not.
        reason: String,
        /// What that means.
        without: &'static str,
    },
    /// Anything else that the loader says.
    #[error("cannot load the eBPF programs: {0}")]
    Loader(String),
}

/// A hook that is in place, or was until its module went.
pub struct Hook {
    /// Its name.
    pub name: &'static str,
    /// The function.
    pub function: String,
    /// Whether it is traced (fentry, fexit) or probed (kprobe, kretprobe).
    pub traced: bool,
    pub(super) programs: Vec<&'static str>,
    /// The module that the function is in; empty for the core kernel.
    pub(super) module: String,
    /// What keeps the programs attached, in the order of their attachment; none once the module
    /// is gone.
    pub(super) links: Vec<Link>,
}

impl Hook {
    pub(super) fn detach(&mut self) {
        while self.links.pop().is_some() {}
    }
}

/// The loaded and attached programs. Dropping it takes them all out of the kernel.
pub struct Probes {
    pub(super) ebpf: Ebpf,
    counters: CounterMap,
    /// What the programs read by.
    pub(super) layout: KernelLayout,
    btf: Btf,
    tracing: bool,
    /// What the hooks of modules that are gone have missed.
    pub(super) retired: Misses,
    /// The hooks in place.
    pub hooks: Vec<Hook>,
    /// A sentence for each hook or member that is missing: which findings will be absent.
    pub missing: Vec<String>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
}

impl Probes {
    /// Loads and attaches all hooks that this kernel has.
    ///
    /// # Errors
    /// See [`LoadError`]; a missing hook that is not essential is a sentence in `missing`.
    pub fn attach(options: Options) -> Result<Self, LoadError> {
        let kernel = Kernel::running()?;
        if !kernel.has_vfio() {
            return Err(LoadError::Unloaded);
        }
        let Measured {
            layout,
            addresses,
            mut missing,
            fatal,
        } = measure(&kernel);
        if let Some(member) = fatal.into_iter().next() {
            return Err(LoadError::Layout(member));
        }
        if OBJECT.is_empty() {
            return Err(LoadError::NoObject);
        }
        // From what was read already: megabytes, which the kernel hands out a page at a time.
        let btf = Btf::parse(kernel.core.bytes(), Endianness::default())
            .map_err(|error| LoadError::Loader(error.to_string()))?;
        let cpus = possible_cpus().map_err(LoadError::Loader)?;
        let diagnostics = u32::from(options.diagnostics);
        let mut ebpf = EbpfLoader::new()
            .btf(Some(&btf))
            .map_max_entries("RECORDS", options.ring_bytes)
            .map_max_entries("COUNTERS", cpus * STRIDE)
            .override_global("LAYOUT", layout.as_bytes(), true)
            .override_global("ADDRESSES", addresses.as_bytes(), true)
            .override_global("DIAGNOSTICS", &diagnostics, true)
            .load(OBJECT)
            .map_err(|error| refused_or(&error, LoadError::Loader(chain(&error))))?;
        let logger = if options.diagnostics {
            let logger = EbpfLogger::init(&mut ebpf);
            Some(logger.map_err(|error| LoadError::Loader(error.to_string()))?)
        } else {
            None
        };
        let counters = map_counters(&ebpf, cpus)
            .map_err(|error| LoadError::Loader(format!("mapping the counters: {error}")))?;
        let mut probes = Self {
            ebpf,
            counters,
            layout,
            btf,
            tracing: options.tracing,
            retired: Misses::default(),
            hooks: Vec::new(),
            missing: Vec::new(),
            logger,
        };
        for row in TABLE {
            let Err(reason) = probes.attach_row(row, &kernel) else {
                continue;
            };
            if row.need == Need::Essential {
                return Err(LoadError::Essential {
                    hook: row.hook,
                    reason,
                    without: row.without,
                });
            }
            missing.push(format!("no hook {} ({reason}): {}", row.hook, row.without));
        }
        match kernel.symbols.address_of("vfio_device_fops") {
            Some(address) => {
                tell::operations(&mut probes.ebpf, address).map_err(LoadError::Loader)?
            }
            None => missing.push(HIDDEN.to_owned()),
        }
        missing.extend(walk::load(&mut probes.ebpf, &probes.btf));
        missing.extend(probes.watch_modules());
        tell::open(&mut probes.ebpf, true).map_err(LoadError::Loader)?;
        probes.missing = missing;
        Ok(probes)
    }

    /// Whether the hook of this name is in place.
    pub fn has(&self, hook: &str) -> bool {
        self.hooks.iter().any(|known| known.name == hook)
    }

    /// Attaches one hook in its best form, where it is not yet; a traced form that is refused falls
    /// back to probes. Fails with the reason if something will be missing.
    pub(super) fn attach_row(&mut self, row: &Row, kernel: &Kernel) -> Result<(), String> {
        let functions = match form(row, kernel, self.tracing) {
            Form::Absent { lack: false, .. } => return Ok(()),
            Form::Absent { reason, .. } => return Err(reason),
            Form::Probed(functions) => functions,
            Form::Traced(function) => {
                if self.has_on(row.hook, function)
                    || self
                        .attach_programs(row.hook, (function, ""), row.traced, true)
                        .is_ok()
                {
                    return Ok(());
                }
                vec![function.to_owned()]
            }
        };
        // Each function for itself: one that cannot be probed takes nothing from the others.
        let failed = functions.iter().filter_map(|function| {
            if self.has_on(row.hook, function) {
                return None;
            }
            let place = (function.as_str(), kernel.module_of(function));
            let attached = self.attach_programs(row.hook, place, row.probed, false);
            attached.err().map(|reason| format!("{function}: {reason}"))
        });
        let failed: Vec<String> = failed.collect();
        if failed.is_empty() {
            Ok(())
        } else {
            Err(failed.join("; "))
        }
    }

    fn has_on(&self, name: &str, function: &str) -> bool {
        let mut live = self.hooks.iter().filter(|hook| !hook.links.is_empty());
        live.any(|hook| hook.name == name && hook.function == function)
    }

    /// Attaches programs to a function of a module.
    fn attach_programs(
        &mut self,
        hook: &'static str,
        (function, module): (&str, &str),
        programs: &'static [table::Program],
        traced: bool,
    ) -> Result<(), String> {
        // All or nothing: an entry without its return would only fill a map. The return goes
        // first, since a call that is entered between the two would never be seen to return.
        let btf = traced.then_some(&self.btf);
        let mut links = Vec::new();
        for row in programs.iter().rev() {
            let program = self
                .ebpf
                .program_mut(row.name)
                .ok_or_else(|| format!("the object has no program {}", row.name))?;
            links
                .push(attach::program(program, row, function, btf).map_err(|error| chain(&error))?);
        }
        self.hooks.push(Hook {
            name: hook,
            function: function.to_owned(),
            traced,
            programs: programs.iter().map(|program| program.name).collect(),
            module: module.to_owned(),
            links,
        });
        Ok(())
    }

    /// A walk over what was there before the trace.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn walk(&mut self) -> Result<Walk, LoadError> {
        Walk::new(&mut self.ebpf).map_err(LoadError::Loader)
    }

    /// What a walk that has ended has found.
    ///
    /// # Errors
    /// If its notes cannot be read.
    pub fn conclude_walk(&mut self) -> Result<Found, LoadError> {
        walk::conclude(&mut self.ebpf).map_err(LoadError::Loader)
    }

    /// The files of devices that the walk under way has met since this was asked for the last time.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn walked_files(&mut self) -> Result<Vec<DeviceFile>, LoadError> {
        walk::files(&mut self.ebpf).map_err(LoadError::Loader)
    }

    /// The ring with the records; can be taken once.
    ///
    /// # Errors
    /// If it was taken before.
    pub fn take_ring(&mut self) -> io::Result<RingBuf<MapData>> {
        let map = self.ebpf.take_map("RECORDS");
        let map = map.ok_or_else(|| io::Error::other("the ring RECORDS was taken before"))?;
        RingBuf::try_from(map).map_err(io::Error::other)
    }

    /// What the programs have counted so far.
    pub fn counters(&self) -> Counters {
        Counters::read(|counter| self.counters.sum(counter))
    }

    /// How many calls have never reported their return. Asked while the programs are attached.
    ///
    /// # Errors
    /// If the programs' maps cannot be read.
    pub fn left(&self) -> io::Result<u64> {
        left::count(&self.ebpf)
    }

    /// Whether the programs have seen a thread enter a call on a device that it has not left.
    ///
    /// # Errors
    /// If the programs' maps cannot be read.
    pub fn is_in_call(&self, pid: u32, tid: u32) -> io::Result<bool> {
        left::is_noted(&self.ebpf, pid, tid)
    }

    /// Detaches every program, entries before returns; what they have counted and sent can still
    /// be read.
    pub fn detach(&mut self) {
        // No call begins any more whose return would come too late. If that cannot be said, such a
        // call is a return that is missed, and counted as that.
        let _ = tell::open(&mut self.ebpf, false);
        for hook in self.hooks.iter_mut().rev() {
            hook.detach();
        }
    }

    /// Hands the programs' own diagnostics to the logger, if they were asked for.
    pub fn flush_diagnostics(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }
}

/// How many CPUs the machine can have.
fn possible_cpus() -> Result<u32, String> {
    let cpus = nr_cpus().map_err(|(file, error)| format!("{file}: {error}"))?;
    u32::try_from(cpus).map_err(|error| error.to_string())
}

fn map_counters(ebpf: &Ebpf, cpus: u32) -> io::Result<CounterMap> {
    let Some(Map::Array(map)) = ebpf.map("COUNTERS") else {
        return Err(io::Error::other("the object has no array COUNTERS"));
    };
    let cpus = usize::try_from(cpus).map_err(io::Error::other)?;
    CounterMap::new(map.fd().as_fd(), cpus)
}

/// An error and its causes, in one line. The verifier's log is many lines: its end is what counts.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.as_slice() {
        [first, .., before, last] => format!("{first} … {before}; {last}"),
        _ => lines.join("; "),
    }
}

fn refused_or(error: &(dyn std::error::Error + 'static), other: LoadError) -> LoadError {
    let mut cause = Some(error);
    while let Some(next) = cause {
        if let Some(io) = next.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::PermissionDenied
        {
            return LoadError::Refused(remap_core::event::Errno::of(io).to_string());
        }
        cause = next.source();
    }
    other
}
