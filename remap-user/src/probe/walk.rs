//! The walks over what was there before the trace: devices, their interrupts, their mappings.
//! The programs are in `remap-ebpf/src/walk/`; they report through the ring like all others.

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

use remap_core::event::DeviceKey;

/// One walk: its program, what it iterates over (`bpf_iter_…`), and what a trace lacks without it.
struct Step {
    program: &'static str,
    over: &'static str,
    without: &'static str,
}

/// In this order: devices become known before their mappings.
const STEPS: [Step; 2] = [
    Step {
        program: "walk_files",
        over: "task_file",
        without: "devices that were open before the trace are known from their next call on, and \
                  their interrupts from the next SET_IRQS; calls that are under way are not told",
    },
    Step {
        program: "walk_mappings",
        over: "task_vma",
        without: "mappings that were made before the trace are not known",
    },
];

/// Loads the programs of the walks. Answers a sentence for each that this kernel does not take.
pub(super) fn load(ebpf: &mut Ebpf, btf: &Btf) -> Vec<String> {
    let mut missing = Vec::new();
    for step in &STEPS {
        let loaded = program(ebpf, step).and_then(|program| {
            program
                .load(step.over, btf)
                .map_err(|error| super::load::chain(&error))
        });
        if let Err(reason) = loaded {
            missing.push(format!(
                "no walk over {} ({reason}): {}",
                step.over, step.without
            ));
        }
    }
    missing
}

fn program<'a>(ebpf: &'a mut Ebpf, step: &Step) -> Result<&'a mut Iter, String> {
    ebpf.program_mut(step.program)
        .ok_or_else(|| format!("the object has no program {}", step.program))?
        .try_into()
        .map_err(|error: ProgramError| super::load::chain(&error))
}

/// A walk, or the rest of one.
pub struct Walk {
    steps: VecDeque<File>,
}

impl Walk {
    /// Every hook is in place by now, so that what changes during the walk is seen.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, String> {
        let mut steps = VecDeque::new();
        for step in &STEPS {
            let program = program(ebpf, step)?;
            if program.fd().is_err() {
                // It was not loaded, and that has been said.
                continue;
            }
            let file = program.attach().and_then(|link| program.take_link(link));
            let file = file.map_err(|error| super::load::chain(&error))?;
            steps.push_back(
                file.into_file()
                    .map_err(|error| super::load::chain(&error))?,
            );
        }
        Ok(Self { steps })
    }

    /// Whether all of it was walked.
    pub fn is_over(&self) -> bool {
        self.steps.is_empty()
    }

    /// Walks over the files, or after that over the mappings, which can take as long as a process
    /// stands still; blocks meanwhile. The records of what is found come through the ring.
    ///
    /// # Errors
    /// If the kernel fails to go on.
    pub fn go_on(mut self) -> io::Result<Self> {
        let mut nothing = [0; 64];
        let Some(mut file) = self.steps.pop_front() else {
            return Ok(self);
        };
        loop {
            match file.read(&mut nothing) {
                Ok(0) => return Ok(self),
                Ok(_) => {}
                // The kernel lets others go first after a million objects without output.
                Err(error) if again(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Walks to the end.
    ///
    /// # Errors
    /// As [`Self::go_on`].
    pub fn run(mut self) -> io::Result<()> {
        while !self.is_over() {
            self = self.go_on()?;
        }
        Ok(())
    }
}

fn again(error: &io::Error) -> bool {
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
    /// Its number there.
    pub fd: u32,
    /// The device.
    pub device: DeviceKey,
}

/// What a walk has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many devices are open.
    pub devices: usize,
    /// A sentence for each of them whose interrupts could not be found.
    pub unfound: Vec<String>,
}

/// What the last walk has to say. Forgets what it met, so that the next walk looks at everything
/// again.
pub(super) fn conclude(ebpf: &mut Ebpf) -> Result<Found, String> {
    let map = ebpf.map_mut("MET").ok_or("the object has no map MET")?;
    let mut met: HashMap<_, u64, [u8; size_of::<Met>()]> =
        map.try_into().map_err(|error| super::load::chain(&error))?;
    let devices: Vec<_> = met.iter().filter_map(Result::ok).collect();
    let mut found = Found {
        devices: devices.len(),
        unfound: Vec::new(),
    };
    for (device, bytes) in devices {
        let device_met = Met::read_from_bytes(&bytes).map_err(|error| error.to_string())?;
        found.unfound.extend(sentence(&device_met));
        // Another walk is not under way, so nobody else removes it.
        let _ = met.remove(&device);
    }
    found.unfound.sort();
    Ok(found)
}

/// The files of devices that a walk has met so far. Forgets them.
pub(super) fn files(ebpf: &mut Ebpf) -> Result<Vec<DeviceFile>, String> {
    let name = "DEVICE_FILES";
    let map = ebpf
        .map_mut(name)
        .ok_or_else(|| format!("the object has no map {name}"))?;
    let mut map: HashMap<_, u64, u64> =
        map.try_into().map_err(|error| super::load::chain(&error))?;
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
        [] => "a device without a name".into(),
        name => String::from_utf8_lossy(name),
    };
    let reason = match met.interrupts {
        interrupts::WALKED => return None,
        interrupts::ELSEWHERE => "its driver is not built on vfio_pci_core",
        _ => "a kernel structure could not be read",
    };
    Some(format!(
        "{name} was open before the trace, and interrupts enabled before it cannot be found \
         ({reason}): each is known from its next SET_IRQS on"
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
    fn only_a_device_whose_interrupts_are_not_found_is_worth_a_sentence() {
        assert_eq!(sentence(&met("0000:01:00.0", interrupts::WALKED)), None);
        let told = sentence(&met("0000:01:00.0", interrupts::ELSEWHERE)).unwrap();
        assert!(told.starts_with("0000:01:00.0 was open before") && told.contains("vfio_pci_core"));
        let told = sentence(&met("", interrupts::UNREADABLE)).unwrap();
        assert!(told.starts_with("a device without a name"));
    }
}
