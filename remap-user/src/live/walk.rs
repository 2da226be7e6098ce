//! The walks over everything that was there before the trace: devices, their interrupts, their
//! mappings. The programs are in `remap-ebpf/src/walk/`; they emit into the ring like all others.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _},
};

use aya::{
    Btf, Ebpf,
    maps::HashMap,
    programs::{Iter, ProgramError},
};
use remap_common::walk::{Met, interrupts};
use zerocopy::FromBytes as _;

use super::error::one_line;
use remap_core::{event::DeviceKey, printable::from_bytes};

/// One walk: its program, its iterator (`bpf_iter_…`), and what a trace lacks without it.
pub(super) struct Step {
    program: &'static str,
    over: &'static str,
    impact: &'static str,
}

/// In this order: devices become known before their mappings.
const STEPS: [Step; 2] = [
    Step {
        program: "walk_files",
        over: "task_file",
        impact: "devices that were open before the trace are known only from their next call on, \
                 and their interrupts from the next SET_IRQS; calls in flight are not reported",
    },
    Step {
        program: "walk_mappings",
        over: "task_vma",
        impact: "mappings that were made before the trace are unknown",
    },
];

/// What threads do; see [`super::activities`].
pub(super) const THREADS: Step = Step {
    program: "walk_threads",
    over: "task",
    impact: "a call whose return was lost is counted only once its thread has exited",
};

/// Loads the programs of the walks. Returns a sentence for each that this kernel refuses.
pub(super) fn load(ebpf: &mut Ebpf, btf: &Btf) -> Vec<String> {
    let mut missing = Vec::new();
    for step in STEPS.iter().chain([&THREADS]) {
        let loaded = program(ebpf, step).and_then(|program| {
            program
                .load(step.over, btf)
                .map_err(|error| one_line(&error))
        });
        if let Err(reason) = loaded {
            missing.push(format!(
                "no walk over {} ({reason}): {}",
                step.over, step.impact
            ));
        }
    }
    missing
}

fn program<'a>(ebpf: &'a mut Ebpf, step: &Step) -> Result<&'a mut Iter, String> {
    ebpf.program_mut(step.program)
        .ok_or_else(|| format!("the object has no program {}", step.program))?
        .try_into()
        .map_err(|error: ProgramError| one_line(&error))
}

/// A walk, or the rest of one.
pub struct Walk {
    steps: VecDeque<File>,
}

impl Walk {
    /// To be called when all hooks are attached, so that changes during the walk are traced.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, String> {
        let mut steps = VecDeque::new();
        for step in &STEPS {
            steps.extend(iterator(ebpf, step)?);
        }
        Ok(Self { steps })
    }

    /// Whether the walk is complete.
    pub fn is_complete(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs the next step: the files, then the mappings. Blocks; the walk over mappings waits for
    /// the mmap lock of each process. The records arrive through the ring.
    ///
    /// # Errors
    /// If a read of the iterator fails.
    pub fn step(mut self) -> io::Result<Self> {
        if let Some(file) = self.steps.pop_front() {
            visit_all(file)?;
        }
        Ok(self)
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn run(mut self) -> io::Result<()> {
        while !self.is_complete() {
            self = self.step()?;
        }
        Ok(())
    }
}

/// An iterator that runs a step's program; `None` if that was not loaded, which [`load`] has reported.
pub(super) fn iterator(ebpf: &mut Ebpf, step: &Step) -> Result<Option<File>, String> {
    let program = program(ebpf, step)?;
    if program.fd().is_err() {
        return Ok(None);
    }
    let link = program.attach().and_then(|link| program.take_link(link));
    let file = link.map_err(|error| one_line(&error))?.into_file();
    file.map(Some).map_err(|error| one_line(&error))
}

/// Runs the program of an iterator on each object.
pub(super) fn visit_all(mut file: File) -> io::Result<()> {
    let mut nothing = [0; 64];
    loop {
        match file.read(&mut nothing) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // EAGAIN: the kernel pauses an iterator after a million objects without output.
            Err(error) if is_retry(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// A file of a device in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceFile {
    /// The process, in the initial PID namespace.
    pub pid: u32,
    /// Its fd in that process.
    pub fd: u32,
    /// The device.
    pub device: DeviceKey,
}

/// The result of a walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many devices are open.
    pub devices: usize,
    /// A sentence for each of them whose interrupts could not be found.
    pub missing: Vec<String>,
}

/// Takes the result of the last walk and clears its map for the next walk.
pub(super) fn take_result(ebpf: &mut Ebpf) -> Result<Found, String> {
    let map = ebpf.map_mut("MET").ok_or("the object has no map MET")?;
    let mut met: HashMap<_, u64, [u8; size_of::<Met>()]> =
        map.try_into().map_err(|error| one_line(&error))?;
    let devices: Vec<_> = met.iter().filter_map(Result::ok).collect();
    let mut found = Found {
        devices: devices.len(),
        missing: Vec::new(),
    };
    for (device, bytes) in devices {
        let device_met = Met::read_from_bytes(&bytes).map_err(|error| error.to_string())?;
        found.missing.extend(sentence(&device_met));
        // No other walk runs, so the entry is still there.
        let _ = met.remove(&device);
    }
    found.missing.sort();
    Ok(found)
}

/// Takes the files of devices that the current walk has found so far.
pub(super) fn take_files(ebpf: &mut Ebpf) -> Result<Vec<DeviceFile>, String> {
    let name = "DEVICE_FILES";
    let map = ebpf
        .map_mut(name)
        .ok_or_else(|| format!("the object has no map {name}"))?;
    let mut map: HashMap<_, u64, u64> = map.try_into().map_err(|error| one_line(&error))?;
    let places: Vec<_> = map.iter().filter_map(Result::ok).collect();
    let mut files = Vec::new();
    for (place, device) in places {
        files.push(DeviceFile {
            pid: (place >> 32) as u32,
            fd: place as u32,
            device: DeviceKey(device),
        });
        let _ = map.remove(&place);
    }
    Ok(files)
}

fn sentence(met: &Met) -> Option<String> {
    let end = met.name.iter().position(|byte| *byte == 0);
    let name = match &met.name[..end.unwrap_or(met.name.len())] {
        [] => "a device without a name".to_owned(),
        name => from_bytes(name),
    };
    let reason = match met.interrupts {
        interrupts::WALKED => return None,
        interrupts::ELSEWHERE => "its driver is not built on vfio_pci_core",
        _ => "a kernel structure could not be read",
    };
    Some(format!(
        "{name} was open before the trace, and its enabled interrupts cannot be found ({reason}): \
         each is known from its next SET_IRQS on"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(name: &str, interrupts: u32) -> Met {
        let mut bytes = [0; remap_common::record::NAME_BYTES];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Met {
            name: bytes,
            interrupts,
        }
    }

    #[test]
    fn only_a_device_without_its_interrupts_gets_a_sentence() {
        assert_eq!(sentence(&met("0000:01:00.0", interrupts::WALKED)), None);
        let text = sentence(&met("0000:01:00.0", interrupts::ELSEWHERE)).unwrap();
        assert!(text.starts_with("0000:01:00.0 was open before") && text.contains("vfio_pci_core"));
        let text = sentence(&met("", interrupts::UNREADABLE)).unwrap();
        assert!(text.starts_with("a device without a name"));
    }
}
