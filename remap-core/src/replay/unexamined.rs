//! Records that are only recorded: what a session must know of them, without decoding one.

use std::{collections::HashSet, io};

use remap_common::record::{self, RecordRef};

use crate::{
    account::{Account, Taken},
    event::Event,
    model::{Blind, Output, Summary},
    order::SLACK_NS,
    pipeline::{Blindness, MANY, SETTLE_NS, VmNames},
    sink::Sink,
    vmm::{checkpoint::Checkpoint, downtime::Downtime},
};

/// So many processes are known at a time; then all of them are looked up again.
const MOST: usize = 2048;

/// Counts records, and asks for the names of virtual machines, as the pipeline of a replay will.
pub(super) struct Unexamined {
    names: VmNames,
    known: HashSet<u32>,
    taken: Taken,
    /// How many records came since the last watermark.
    waiting: usize,
    latest_ns: u64,
    watermark_ns: u64,
    blind: Blindness,
}

impl Unexamined {
    pub(super) fn new(names: VmNames) -> Self {
        Self {
            names,
            known: HashSet::new(),
            taken: Taken::default(),
            waiting: 0,
            latest_ns: 0,
            watermark_ns: 0,
            blind: Blindness::default(),
        }
    }

    pub(super) fn record(&mut self, bytes: &[u8]) {
        let Ok((header, record)) = record::parse(bytes) else {
            self.taken.undecodable += 1;
            return;
        };
        self.taken.delivered += 1;
        self.waiting += 1;
        self.latest_ns = self.latest_ns.max(header.time_ns);
        match record {
            RecordRef::Device(..) | RecordRef::DeviceFile(..) => {
                // It may be another program by now, or another process.
                self.known.remove(&header.pid);
                self.acts(header.pid);
            }
            // On top of any task: an interrupt, or work of the kernel for another process.
            RecordRef::Signal(..)
            | RecordRef::Consumed(..)
            | RecordRef::Zap(..)
            | RecordRef::Request(..)
            | RecordRef::Unknown { .. } => {}
            _ => self.acts(header.pid),
        }
    }

    /// A process does something with a device.
    pub(super) fn acts(&mut self, pid: u32) {
        if self.known.contains(&pid) {
            return;
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(pid);
        let _recorded = (self.names)(pid);
    }

    pub(super) fn taken(&self) -> Taken {
        self.taken
    }

    pub(super) fn latest_ns(&self) -> u64 {
        self.latest_ns
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting >= MANY
    }

    /// Whether a replay needs no later watermark for what was taken.
    pub(super) fn is_idle(&self) -> bool {
        let settled_ns = self.latest_ns.saturating_add(SETTLE_NS + SLACK_NS);
        self.taken.all() == 0 || self.watermark_ns >= settled_ns
    }

    pub(super) fn blind(&mut self, blind: Blind) {
        self.blind.take(blind);
    }

    pub(super) fn advance(&mut self, watermark_ns: u64) {
        self.waiting = 0;
        self.watermark_ns = watermark_ns;
    }

    /// The account alone: the sums are made by a report.
    pub(super) fn finish(mut self, end_ns: u64, account: &Account) -> Summary {
        self.blind.end(end_ns);
        Summary {
            seen: account.seen,
            delivered: account.delivered,
            lost: account.lost.clone(),
            skipped: account.skipped,
            missed: account.missed.clone(),
            blind: self.blind.ended,
            ..Summary::default()
        }
    }
}

/// The sink of a trace that is only recorded: nothing gets there.
#[derive(Debug)]
pub enum Nowhere {}

impl Sink for Nowhere {
    fn output(&mut self, _: &Output) -> io::Result<()> {
        match *self {}
    }

    fn event(&mut self, _: &Event, _: &str) -> io::Result<()> {
        match *self {}
    }

    fn checkpoint(&mut self, _: &Checkpoint) -> io::Result<()> {
        match *self {}
    }

    fn downtime(&mut self, _: &Downtime) -> io::Result<()> {
        match *self {}
    }

    fn blind(&mut self, _: &Blind) -> io::Result<()> {
        match *self {}
    }

    fn owner(&mut self, _: u32, _: Option<&str>) {
        match *self {}
    }

    fn summary(&mut self, _: &Summary) -> io::Result<()> {
        match *self {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match *self {}
    }
}
