//! Writes a recording.

use std::{cell::RefCell, io, rc::Rc};

use zerocopy::IntoBytes as _;

use super::{Start, Step, addresses::Addresses};
use crate::{
    perfdata::{ClockPair, Machine, Output, Writer},
    pipeline::VmNames,
};

/// Writes a recording.
pub struct Capture {
    out: Writer<Box<dyn Output>>,
    addresses: Addresses,
    /// The record with its addresses replaced; words, so that it is aligned.
    record: Vec<u64>,
    /// The answers since the last input.
    owners: Rc<RefCell<Vec<Step>>>,
    /// The first error, until it is returned.
    error: Option<io::Error>,
}

impl Capture {
    /// Begins a recording of a machine. `clocks`: a moment by both of its clocks.
    ///
    /// # Errors
    /// What the writer returns.
    pub fn new(
        out: Box<dyn Output>,
        (machine, clocks): (Machine, ClockPair),
        start: Start,
    ) -> io::Result<Self> {
        let addresses = Addresses::new(start.addresses);
        let mut out = Writer::new(out, machine, clocks)?;
        out.step(&serde_json::to_string(&Step::Start(start))?)?;
        Ok(Self {
            out,
            addresses,
            record: Vec::new(),
            owners: Rc::default(),
            error: None,
        })
    }

    /// Records the answers of `names`, which the pipeline asks.
    pub fn vm_names(&self, mut names: VmNames) -> VmNames {
        let owners = Rc::clone(&self.owners);
        Box::new(move |pid| {
            let vm = names(pid);
            let step = Step::Owner {
                pid,
                vm: vm.clone(),
            };
            owners.borrow_mut().push(step);
            vm
        })
    }

    /// What is written in place of a kernel address.
    pub(super) fn address(&mut self, address: u64) -> u64 {
        self.addresses.of(address)
    }

    /// Copies a record, with its addresses replaced.
    pub(super) fn copy(&mut self, record: &[u8]) -> &[u8] {
        self.record.clear();
        self.record.resize(record.len().div_ceil(8), 0);
        let copy = &mut self.record.as_mut_bytes()[..record.len()];
        copy.copy_from_slice(record);
        self.addresses.replace(copy);
        copy
    }

    /// Writes the copy, of this length.
    pub(super) fn write_record(&mut self, length: usize) {
        self.write_owners();
        let written = self.out.sample(&self.record.as_bytes()[..length]);
        self.keep(written);
    }

    /// Writes a step.
    pub(super) fn write(&mut self, step: &Step) {
        self.write_owners();
        let written = self.write_step(step);
        self.keep(written);
    }

    fn write_step(&mut self, step: &Step) -> io::Result<()> {
        self.out.step(&serde_json::to_string(step)?)?;
        match step {
            Step::Losses { losses } => losses.iter().try_for_each(|loss| self.out.lost(loss)),
            Step::Advance { .. } => self.out.round(),
            _ => Ok(()),
        }
    }

    /// Before the input that asked for them.
    fn write_owners(&mut self) {
        for step in self.owners.take() {
            let written = self.write_step(&step);
            self.keep(written);
        }
    }

    fn keep(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    /// Nothing more is written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.checked()?;
        self.out.finish().map_err(of_recording)
    }

    /// Whether everything so far could be written.
    pub(super) fn checked(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err).map_err(of_recording)
    }
}

/// The error of a recording, distinct from one of the output.
fn of_recording(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("writing the recording: {error}"))
}
