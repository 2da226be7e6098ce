//! The loaded programs: hooks, walks, counters.

use std::{io, os::fd::AsFd as _, sync::Arc};

use aya::{
    Btf, Ebpf, EbpfLoader, Endianness,
    maps::{Map, MapData, RingBuf},
    util::nr_cpus,
};
use aya_log::EbpfLogger;
use remap_common::{
    counter::STRIDE,
    layout::{KernelAddresses, KernelLayout},
    loss,
    number::Key,
    phase,
};
use remap_core::account::{Account, Counters, Loss, Losses, Misses, Missing, Taken};
use rustix::rand::{GetRandomFlags, getrandom};
use zerocopy::IntoBytes as _;

use super::{
    account::{counters::CounterMap, stale_calls},
    activities,
    clock::monotonic_ns,
    controls,
    error::LoadError,
    hooks::{lookup, row::Requirement, set::HookSet, table::TABLE},
    module_events,
    pin::Pin,
    process::Activity,
    rights::Rights,
    self_test::SelfTest,
    silence::Silence,
    walk::{self, DeviceFile, Found, Walk},
};
use crate::kernel::{
    Kernel,
    layout::{Measured, measure},
    realtime::Realtime,
};

/// The object that the build script made; empty in a build without a BPF toolchain.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/remap-ebpf"));

/// The symbol of the operations of a device's file.
const DEVICE_OPERATIONS: &str = "vfio_device_fops";

/// Reported if the address of [`DEVICE_OPERATIONS`] is unknown.
const OPERATIONS_HIDDEN: &str = "the address of vfio_device_fops is hidden or missing: devices \
                                 that were open before the trace are not found; \
                                 CAP_SYSLOG and `sysctl kernel.kptr_restrict=1` show it";

/// How to load the programs.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Size of the ring, bytes: a power of two, and at least a page.
    pub ring_bytes: u32,
    /// Whether fentry and fexit may be used; otherwise hooks use kprobes.
    pub tracing: bool,
    /// Whether the programs log their own diagnostics (aya-log).
    pub diagnostics: bool,
    /// Where the records are passed on to other programs, if they are.
    pub perf_events: Option<Arc<Pin>>,
}

/// Whether hooks of a newly loaded module could be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleHooks {
    /// This many hooks were attached.
    Attached(usize),
    /// The module brings structures that were missing when the layout was measured: the programs
    /// must be loaded again.
    LayoutChanged,
}

/// The loaded and attached programs. Dropping it removes them from the kernel.
pub struct Probes {
    ebpf: Ebpf,
    counters: CounterMap,
    losses: Losses,
    /// The sum of the loss counters when the table of losses was last read.
    placed: u64,
    /// What no program saw, as of the same time.
    unseen: Missing,
    /// The layout that the programs read by.
    layout: KernelLayout,
    /// The hooks.
    pub hooks: HookSet,
    self_test: SelfTest,
    /// A sentence for each missing hook or member, with its impact.
    pub missing: Vec<String>,
    /// The missing hooks.
    pub missing_hooks: Vec<&'static str>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
}

impl Probes {
    /// Loads the programs and attaches all hooks that this kernel has.
    ///
    /// # Errors
    /// See [`LoadError`]; a missing hook that is not essential is a sentence in `missing`.
    pub fn attach(options: &LoadOptions) -> Result<Self, LoadError> {
        Self::try_attach(options).map_err(|error| error.explained(&Rights::read()))
    }

    fn try_attach(options: &LoadOptions) -> Result<Self, LoadError> {
        let kernel = Kernel::running(&lookup::functions())?;
        if !kernel.has_vfio() {
            return Err(LoadError::Unloaded);
        }
        if Realtime::of(&kernel.core) == Some(Realtime::SleepingRing) {
            return Err(LoadError::SleepingRing);
        }
        let measured = measure(&kernel);
        if let Some(member) = measured.fatal.first() {
            return Err(LoadError::Layout(member.clone()));
        }
        let mut probes = Self::load(options, &kernel, measured)?;
        probes.attach_hooks(&kernel)?;
        probes.self_test = SelfTest::attach(&mut probes.ebpf, probes.hooks.btf());
        let silence = probes.silence();
        if let Some(silence) = silence.map_err(|error| LoadError::Loader(error.to_string()))? {
            return Err(LoadError::Silent(silence));
        }
        probes.set_device_operations(&kernel)?;
        let missing = walk::load(&mut probes.ebpf, probes.hooks.btf());
        probes.missing.extend(missing);
        probes
            .missing
            .extend(module_events::watch(&mut probes.ebpf));
        controls::set_phase(&mut probes.ebpf, phase::OPEN).map_err(LoadError::Loader)?;
        Ok(probes)
    }

    /// Loads the object; nothing is attached yet.
    fn load(options: &LoadOptions, kernel: &Kernel, measured: Measured) -> Result<Self, LoadError> {
        if OBJECT.is_empty() {
            return Err(LoadError::NoObject);
        }
        // Parsed from the bytes that were read already: the kernel serves these megabytes one page
        // at a time.
        let btf = Btf::parse(kernel.core.bytes(), Endianness::default())
            .map_err(|error| LoadError::Loader(error.to_string()))?;
        let cpus = possible_cpus().map_err(LoadError::Loader)?;
        let mut ebpf = load_object(options, cpus, &btf, &measured.layout, &measured.addresses)?;
        let logger = options
            .diagnostics
            .then(|| EbpfLogger::init(&mut ebpf))
            .transpose()
            .map_err(|error| LoadError::Loader(error.to_string()))?;
        let counters = map_counters(&ebpf, cpus)
            .map_err(|error| LoadError::Loader(format!("mapping the counters: {error}")))?;
        Ok(Self {
            ebpf,
            counters,
            losses: Losses::default(),
            placed: 0,
            unseen: Missing::default(),
            layout: measured.layout,
            hooks: HookSet::new(btf, options.tracing),
            self_test: SelfTest::default(),
            missing: measured
                .missing
                .into_iter()
                .map(|one| one.sentence)
                .collect(),
            missing_hooks: Vec::new(),
            logger,
        })
    }

    fn attach_hooks(&mut self, kernel: &Kernel) -> Result<(), LoadError> {
        for row in TABLE {
            let Err(reason) = self.hooks.attach(&mut self.ebpf, row, kernel) else {
                continue;
            };
            if row.requirement == Requirement::Essential {
                return Err(LoadError::Essential {
                    hook: row.hook,
                    reason,
                    impact: row.impact_with_findings(),
                });
            }
            let impact = row.impact_with_findings();
            let sentence = format!("no hook {} ({reason}): {impact}", row.hook);
            self.missing.push(sentence);
            self.missing_hooks.push(row.hook);
        }
        Ok(())
    }

    fn set_device_operations(&mut self, kernel: &Kernel) -> Result<(), LoadError> {
        match kernel.symbols.address_of(DEVICE_OPERATIONS) {
            Some(address) => controls::set_device_operations(&mut self.ebpf, address)
                .map_err(LoadError::Loader)?,
            None => self.missing.push(OPERATIONS_HIDDEN.to_owned()),
        }
        Ok(())
    }

    /// Attaches the hooks of a newly loaded module.
    ///
    /// # Errors
    /// If the kernel's types or symbols cannot be read, or a map of the programs not be written.
    pub fn attach_new_hooks(&mut self) -> Result<ModuleHooks, LoadError> {
        let kernel = Kernel::running(&lookup::functions())?;
        if measure(&kernel).layout != self.layout {
            return Ok(ModuleHooks::LayoutChanged);
        }
        if let Some(address) = kernel.symbols.address_of(DEVICE_OPERATIONS) {
            controls::set_device_operations(&mut self.ebpf, address).map_err(LoadError::Loader)?;
        }
        let count = self.hooks.attach_new(&mut self.ebpf, &kernel);
        Ok(ModuleHooks::Attached(count))
    }

    /// A walk over everything that was there before the trace.
    ///
    /// # Errors
    /// If the kernel refuses an iterator.
    pub fn walk(&mut self) -> Result<Walk, LoadError> {
        Walk::new(&mut self.ebpf).map_err(LoadError::Loader)
    }

    /// The result of a finished walk.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn walk_result(&mut self) -> Result<Found, LoadError> {
        walk::take_result(&mut self.ebpf).map_err(LoadError::Loader)
    }

    /// The files of devices that the current walk has found since the last call.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn walked_files(&mut self) -> Result<Vec<DeviceFile>, LoadError> {
        walk::take_files(&mut self.ebpf).map_err(LoadError::Loader)
    }

    /// The ring of the records; can be taken once.
    ///
    /// # Errors
    /// If it was taken before.
    pub fn take_ring(&mut self) -> io::Result<RingBuf<MapData>> {
        self.take_ring_named("RECORDS")
    }

    /// The ring of the modules that are loaded and unloaded; can be taken once.
    ///
    /// # Errors
    /// If it was taken before.
    pub fn take_module_ring(&mut self) -> io::Result<RingBuf<MapData>> {
        self.take_ring_named("MODULES")
    }

    fn take_ring_named(&mut self, name: &str) -> io::Result<RingBuf<MapData>> {
        let map = self.ebpf.take_map(name);
        let map =
            map.ok_or_else(|| io::Error::other(format!("the ring {name} was taken before")))?;
        RingBuf::try_from(map).map_err(io::Error::other)
    }

    /// The counters of the programs, now.
    pub fn counters(&self) -> Counters {
        Counters::read(|counter| self.counters.sum(counter))
    }

    /// The program runs that the kernel skipped.
    ///
    /// # Errors
    /// If a program cannot be queried.
    pub fn skipped(&self) -> io::Result<Misses> {
        self.hooks.skipped(&self.ebpf)
    }

    /// What the programs and the kernel count as lost since the last call, and what may be.
    ///
    /// # Errors
    /// If the clock cannot be read, or a program or a link not be queried.
    pub fn losses(&mut self) -> io::Result<Vec<Loss>> {
        let asked_ns = monotonic_ns()?;
        let lost = self.counters().lost();
        let changed = lost != std::mem::replace(&mut self.placed, lost);
        let table = changed.then(|| self.counters.losses());
        self.unseen = Missing {
            skipped: self.skipped()?,
            missed: self.hooks.missed()?,
            returns: 0,
        };
        let mut skipped = self.unseen.skipped.clone();
        skipped.by.extend_from_slice(&self.unseen.missed.by);
        let times = (asked_ns, monotonic_ns()?);
        Ok(self.losses.since(times, table, &skipped))
    }

    /// The account as of the last call of [`Self::losses`].
    pub fn account(&self, taken: Taken) -> Account {
        Account::so_far(&self.counters(), taken, self.unseen.clone())
    }

    /// Whether hooks fire, by a call of this process; `None` if they do.
    ///
    /// # Errors
    /// If the call fails.
    pub fn silence(&self) -> io::Result<Option<Silence>> {
        self.self_test.run(&self.counters)
    }

    /// How many calls are stale: their return was lost. The programs must still be attached.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn stale_calls(&mut self) -> io::Result<u64> {
        stale_calls::count(&mut self.ebpf)
    }

    /// What each of these threads (tgid in the upper half, tid in the lower) does.
    ///
    /// # Errors
    /// If the walk over threads fails.
    pub fn activities(&mut self, threads: &[u64]) -> io::Result<Vec<Activity>> {
        activities::of(&mut self.ebpf, threads)
    }

    /// Whether the programs have seen a thread enter a call on a device that has not returned.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn is_in_call(&self, pid: u32, tid: u32) -> io::Result<bool> {
        stale_calls::is_in_call(&self.ebpf, pid, tid)
    }

    /// Ends the recording: no program counts or sends anything from now on, but what it is about to.
    /// Counters and records can still be read.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub fn end(&mut self) -> io::Result<()> {
        controls::set_phase(&mut self.ebpf, phase::ENDED).map_err(io::Error::other)
    }

    /// Passes the programs' own diagnostics to the logger, if they were enabled.
    pub fn flush_diagnostics(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.hooks.detach();
    }
}

fn load_object(
    options: &LoadOptions,
    cpus: u32,
    btf: &Btf,
    layout: &KernelLayout,
    addresses: &KernelAddresses,
) -> Result<Ebpf, LoadError> {
    let diagnostics = u32::from(options.diagnostics);
    let pin = options.perf_events.as_deref();
    let perf_events = u32::from(pin.is_some());
    let key = number_key().map_err(|error| LoadError::Loader(error.to_string()))?;
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(btf))
        .map_max_entries("RECORDS", options.ring_bytes)
        .map_max_entries("COUNTERS", cpus * STRIDE)
        .map_max_entries("LOSSES", loss::words(cpus))
        .override_global("LAYOUT", layout.as_bytes(), true)
        .override_global("ADDRESSES", addresses.as_bytes(), true)
        .override_global("DIAGNOSTICS", &diagnostics, true)
        .override_global("PERF_EVENTS", &perf_events, true)
        .override_global("NUMBER_KEY", &key, true);
    if let Some(pin) = pin.filter(|pin| pin.is_there()) {
        // Programs that are loaded again write to the array that has readers.
        loader.map_pin_path("EVENTS", pin.path());
    }
    let ebpf = loader.load(OBJECT).map_err(|error| LoadError::of(&error))?;
    if let Some(pin) = pin.filter(|pin| !pin.is_there()) {
        let map = ebpf.map("EVENTS");
        let map = map.ok_or_else(|| LoadError::Loader("the object has no map EVENTS".into()))?;
        pin.pin(map).map_err(LoadError::Pin)?;
    }
    Ok(ebpf)
}

/// A key for the numbers that stand for kernel addresses.
fn number_key() -> io::Result<Key> {
    let mut key = Key::default();
    let (bytes, wanted) = (key.as_mut_bytes(), size_of::<Key>());
    match getrandom(bytes, GetRandomFlags::empty())? {
        got if got == wanted => Ok(key),
        _ => Err(io::Error::other("getrandom: too few bytes")),
    }
}

/// How many CPUs the machine can have.
fn possible_cpus() -> Result<u32, String> {
    let cpus = nr_cpus().map_err(|(file, error)| format!("{file}: {error}"))?;
    u32::try_from(cpus).map_err(|error| error.to_string())
}

fn map_counters(ebpf: &Ebpf, cpus: u32) -> io::Result<CounterMap> {
    let array = |name: &str| match ebpf.map(name) {
        Some(Map::Array(map)) => Ok(map.fd().as_fd()),
        _ => Err(io::Error::other(format!("the object has no array {name}"))),
    };
    CounterMap::new(array("COUNTERS")?, array("LOSSES")?, cpus)
}
