//! Streams → a pipeline, with the sinks that a trace has.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use remap_common::record::{Enumeration as _, Header, LostKind};
use remap_core::account::{Account, Loss};
use remap_core::correlate::Options;
use remap_core::decode::in_flight::{ObservedCall, ObservedReturn};
use remap_core::event::Task;
use remap_core::model::{Blind, BlindCause, BlindHooks, Class};
use remap_core::pipeline::{Filter, Pipeline};
use remap_core::printable;
use remap_core::sink::select::{Select, Selection};
use remap_core::vmm::checkpoint::{self, Checkpoint};
use remap_core::vmm::log::{self, LogAccount};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{ADVANCE, BLIND, CALL, CUT, LOG, LOSS, OWNER, RAW, RETURN, items, kind, times, turn};
use crate::sink::Both;

/// When a stream begins (CLOCK_MONOTONIC ns).
pub const START_NS: u64 = 1_000_000_000_000;

/// The switch: every event, every stage, interrupt and mapping is written.
pub const ALL: u8 = 1;
/// The switch: the consumers of eventfds are seen.
pub const CONSUMERS: u8 = 2;
/// The switch: VMMs' logs are read.
pub const LOGS: u8 = 4;
/// The switch: only what took long, of some classes.
const SELECTED: u8 = 8;
/// The switches: only one device, one process, one virtual machine.
const FILTERED: [u8; 3] = [16, 32, 64];
/// The switch: text with colours.
const COLOUR: u8 = 128;

/// Command names, some of which want to control the terminal.
const COMMS: [&[u8]; 4] = [
    b"qemu-system-x86",
    b"CPU 0/KVM",
    b"a\x1b[2J\nb",
    b"\xff\xe2\x80\xae",
];

/// A pipeline that a stream is fed into.
struct Player {
    pipeline: Pipeline<Select<Both>>,
    owners: Rc<RefCell<VecDeque<Option<String>>>>,
    now_ns: u64,
    /// The record, aligned.
    record: Vec<u64>,
    records: u64,
    checkpoints: u64,
}

/// Plays a stream, and checks the account.
pub fn play(bytes: &[u8]) {
    let Some((switches, bytes)) = bytes.split_first() else {
        return;
    };
    let mut player = Player::new(*switches);
    for (operation, payload) in items(bytes) {
        player.item(operation, payload);
    }
    player.finish();
}

/// The fields of a payload, from its front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next byte; 0 behind the end.
    fn u8(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// The next eight bytes; 0 if there are less.
    fn u64(&mut self) -> u64 {
        let (first, rest) = self.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        self.0 = rest;
        u64::from_le_bytes(*first)
    }

    /// Up to so many of the next bytes.
    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        first
    }
}

impl Player {
    fn new(switches: u8) -> Self {
        let has = |switch| switches & switch != 0;
        let [device, pid, vm] = FILTERED.map(has);
        let options = Options {
            sees_consumers: has(CONSUMERS),
            stages: has(ALL),
            interrupts: has(ALL),
            mappings: has(ALL),
            ..Options::default()
        };
        let filter = Filter {
            device: device.then(|| "0000:01:00.0".to_owned()),
            pid: pid.then_some(task(0).pid),
            vm: vm.then(|| "vm".to_owned()),
        };
        let selection = Selection {
            classes: has(SELECTED).then(|| BTreeSet::from([Class::Remap, Class::Migration])),
            min_latency_ns: has(SELECTED).then_some(100_000),
            ..Selection::default()
        };
        let owners: Rc<RefCell<VecDeque<Option<String>>>> = Rc::default();
        let answers = Rc::clone(&owners);
        let names = Box::new(move |_| answers.borrow_mut().pop_front().flatten());
        let sink = Select::new(Both::new(has(COLOUR)), selection);
        let pipeline = Pipeline::new(options, filter, names, has(ALL), sink);
        Self {
            pipeline: if has(LOGS) {
                pipeline.with_logs()
            } else {
                pipeline
            },
            owners,
            now_ns: START_NS,
            record: Vec::new(),
            records: 0,
            checkpoints: 0,
        }
    }

    /// The time that has passed since the last item makes the present one; it may be negative.
    fn pass(&mut self, fields: &mut Fields<'_>) -> u64 {
        self.now_ns = self.now_ns.wrapping_add(fields.u64());
        self.now_ns
    }

    fn item(&mut self, operation: u8, payload: &[u8]) {
        let mut fields = Fields(payload);
        match operation {
            ADVANCE => {
                let watermark_ns = self.pass(&mut fields);
                self.pipeline
                    .advance(watermark_ns)
                    .expect("the sink takes all");
            }
            LOSS => self.loss(fields),
            BLIND => self.blind(fields),
            OWNER => {
                let name = (!payload.is_empty()).then(|| printable::from_bytes(payload));
                self.owners.borrow_mut().push_back(name);
            }
            CALL => self.call(fields),
            RETURN => {
                let (task, device) = (task(fields.u8()), u64::from(fields.u8()));
                let time_ns = self.pass(&mut fields);
                let seen_ns = time_ns.wrapping_sub(fields.u64());
                let returned = ObservedReturn {
                    time_ns,
                    task,
                    device,
                    seen_ns,
                };
                self.pipeline.observed(returned.event());
            }
            LOG => self.log(fields),
            RAW => self.take(payload),
            _ if (1..ADVANCE).contains(&(operation & !CUT)) => self.record(operation, fields),
            _ => {}
        }
    }

    fn loss(&mut self, mut fields: Fields<'_>) {
        let records = LostKind::of_number(u32::from(fields.u8())).unwrap_or(LostKind::Other);
        let device = u64::from(fields.u8());
        let count = u64::from(fields.u8()) | u64::from(fields.u8()) << 8;
        let [from_ns, until_ns] =
            [fields.u64(), fields.u64()].map(|ns| self.now_ns.wrapping_sub(ns));
        self.pipeline.losses([Loss {
            count,
            records,
            device: (device != 0).then_some(device),
            from_ns,
            until_ns,
        }]);
    }

    fn blind(&mut self, mut fields: Fields<'_>) {
        let kind = fields.u8();
        let over = fields.u8() != 0;
        let since_ns = self.now_ns.wrapping_sub(fields.u64());
        let until_ns = self.now_ns.wrapping_sub(fields.u64());
        let blind = Blind {
            since_ns,
            until_ns: over.then_some(until_ns),
            hooks: match kind & 3 {
                0 => BlindHooks::All,
                1 => BlindHooks::Kprobe,
                _ => BlindHooks::Fentry,
            },
            cause: match kind >> 2 & 3 {
                0 => BlindCause::KprobesDisarmed,
                1 => BlindCause::FtraceDisabled,
                _ => BlindCause::Unknown,
            },
        };
        self.pipeline.blind(blind).expect("the sink takes all");
    }

    fn call(&mut self, mut fields: Fields<'_>) {
        let (task, device) = (task(fields.u8()), u64::from(fields.u8()));
        let number = i64::from(fields.u8());
        let time_ns = self.pass(&mut fields);
        let arguments = [3, fields.u64(), 0, fields.u64(), 0, 0];
        let memory = fields.bytes(64).to_vec();
        let stack = printable::from_bytes(fields.0);
        let call = ObservedCall {
            time_ns,
            task,
            device,
            number,
            arguments,
            memory,
            stack,
        };
        if let Some(event) = call.event() {
            self.pipeline.observed(event);
        }
    }

    fn log(&mut self, mut fields: Fields<'_>) {
        let log = if fields.u8() & 1 == 0 {
            "source"
        } else {
            "destination"
        };
        let time_ns = self.pass(&mut fields);
        let text = [b"7@1.0:", fields.0].concat();
        let Some(line) = log::parse(&text).ok().filter(checkpoint::is_checkpoint) else {
            return;
        };
        self.checkpoints += 1;
        self.pipeline.checkpoint(Checkpoint {
            time_ns,
            error_ns: 1000,
            log: log.to_owned(),
            tid: line.tid,
            event: line.event.to_owned(),
            arguments: line.arguments.to_owned(),
            device: checkpoint::device(&line),
        });
    }

    fn record(&mut self, operation: u8, mut fields: Fields<'_>) {
        let number = u32::from(operation & !CUT);
        let task_number = fields.u8();
        let Task { pid, tid, .. } = task(task_number);
        let time_ns = self.pass(&mut fields);
        let mut comm = [0; 16];
        let name = COMMS[usize::from(task_number >> 6)];
        comm[..name.len()].copy_from_slice(name);
        let header = Header {
            kind: number,
            cpu: u32::from(task_number & 3),
            time_ns,
            pid,
            tid,
            comm,
        };
        let mut record = [header.as_bytes(), fields.0].concat();
        if let Some(kind) = kind(number) {
            if operation & CUT == 0 {
                record.resize(record.len().max(kind.size), 0);
            }
            times(kind).for_each(|offset| turn(&mut record, offset, time_ns));
        }
        self.take(&record);
    }

    /// Feeds a record, at an aligned address.
    fn take(&mut self, record: &[u8]) {
        self.record.clear();
        self.record.resize(record.len().div_ceil(8), 0);
        let aligned = &mut self.record.as_mut_bytes()[..record.len()];
        aligned.copy_from_slice(record);
        if let Ok((header, _)) = Header::ref_from_prefix(aligned) {
            self.now_ns = header.time_ns;
        }
        self.pipeline.record(aligned);
        self.records += 1;
    }

    fn finish(mut self) {
        let taken = self.pipeline.taken();
        assert_eq!(
            taken.all(),
            self.records,
            "every record is taken or counted"
        );
        self.pipeline.logs(vec![LogAccount {
            name: "source".to_owned(),
            there: true,
            lines: self.checkpoints,
            checkpoints: self.checkpoints,
            ..LogAccount::default()
        }]);
        let account = Account {
            seen: Some(self.records),
            delivered: taken.delivered,
            lost: [("undecodable".to_owned(), taken.undecodable)].into(),
            ..Account::default()
        };
        self.pipeline
            .finish(self.now_ns, &account)
            .expect("the sink takes all");
    }
}

/// The thread with a number: eight of each process.
fn task(number: u8) -> Task {
    Task {
        pid: 1000 + u32::from(number & !7),
        tid: 1000 + u32::from(number),
        comm: "qemu-system-x86".to_owned(),
    }
}
