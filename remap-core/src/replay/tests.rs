//! A captured trace is replayed as it was.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
};

use remap_common::record::{self, Header, KINDS, Origin, Record, Tristate, Unit};
use zerocopy::{Immutable, IntoBytes};

use super::*;
use crate::{
    correlate::Options,
    decode::tests::words,
    perfdata::{ClockPair, Machine, Output},
    pipeline::Filter,
    sink::text::{Text, TextOptions},
    vmm::checkpoint::tests::checkpoint,
};

/// A kernel address.
const DEVICE: u64 = 0xffff_8880_0123_4000;

/// A writer that can be read while others hold it.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A record of the VMM's in words.
fn record<T: Record + IntoBytes + Immutable>(time_ns: u64, body: &T) -> Vec<u64> {
    let mut comm = [0; 16];
    comm[..3].copy_from_slice(b"vmm");
    let header = Header {
        kind: T::KIND,
        cpu: 0,
        time_ns,
        pid: 7,
        tid: 8,
        comm,
    };
    words(header, &[body.as_bytes()])
}

fn opened() -> Vec<u64> {
    let mut name = [0; record::NAME_BYTES];
    name[..12].copy_from_slice(b"0000:01:00.0");
    let device = record::Device {
        device: DEVICE,
        name,
        driver: [0; record::NAME_BYTES],
        origin: Origin::Seen.wire(),
        reserved: 0,
    };
    record(10, &device)
}

fn closed() -> Vec<u64> {
    let close = record::Close {
        device: DEVICE,
        dying: Tristate::Yes.wire(),
        reserved: 0,
    };
    record(30, &close)
}

fn origin() -> (Machine, ClockPair) {
    (Machine::default(), ClockPair::default())
}

impl Output for Shared {}
impl Output for Disk {}

fn start() -> Start {
    Start {
        version: VERSION,
        start_ns: 5,
        sees_consumers: true,
        logs: true,
        filter: Filter::default(),
        addresses: false,
        missing_hooks: Vec::new(),
    }
}

fn text(out: Shared) -> Text<Shared> {
    let options = TextOptions {
        colour: false,
        start_ns: 5,
    };
    Text::new(out, options)
}

fn pipeline(names: VmNames, out: Shared) -> Pipeline<Text<Shared>> {
    let options = Options {
        sees_consumers: true,
        ..Options::default()
    };
    Pipeline::new(options, Filter::default(), names, true, text(out))
}

/// A call in flight: a write to the migration region.
fn in_flight() -> ObservedCall {
    ObservedCall {
        time_ns: 20,
        task: vmm(9),
        device: DEVICE,
        number: remap_common::uapi::SYS_PWRITE64,
        arguments: [
            3,
            0,
            4,
            9 << remap_common::uapi::VFIO_PCI_OFFSET_SHIFT,
            0,
            0,
        ],
        memory: Vec::new(),
        stack: "[<0>] rr_wait+0x12/0x340 [remap_ref]\n".to_owned(),
    }
}

fn vmm(tid: u32) -> crate::event::Task {
    crate::event::Task {
        pid: 7,
        tid,
        comm: "vmm".to_owned(),
    }
}

/// The end of that call.
fn returned() -> ObservedReturn {
    ObservedReturn {
        time_ns: 25,
        task: vmm(9),
        device: DEVICE,
        seen_ns: 22,
    }
}

fn account() -> Account {
    Account {
        seen: Some(4),
        delivered: 2,
        lost: [("ring_full".to_owned(), 2)].into(),
        ..Account::default()
    }
}

/// Feeds a short trace.
fn play<S: Sink>(mut feed: Feed<S>) {
    assert!(feed.is_idle());
    feed.record(opened().as_bytes());
    assert!(!feed.is_idle());
    feed.call(in_flight());
    feed.returned(returned());
    feed.checkpoint(checkpoint(
        "src",
        27,
        "vmstate_downtime_checkpoint src-downtime-start",
    ));
    feed.losses(vec![Loss {
        count: 2,
        records: crate::event::LostKind::Other,
        device: Some(DEVICE),
        from_ns: 20,
        until_ns: 30,
    }]);
    feed.advance(1_000_000_000).unwrap();
    feed.record(closed().as_bytes());
    assert_eq!(feed.taken().delivered, 2);
    let log = LogAccount {
        name: "src".to_owned(),
        ..LogAccount::default()
    };
    feed.logs(vec![log]);
    feed.finish(2_000_000_000, &account()).unwrap();
}

fn web() -> VmNames {
    Box::new(|_| Some("web".to_owned()))
}

/// Captures a short trace: its output, and the recording.
fn capture() -> (Vec<u8>, Vec<u8>) {
    let (recording, output) = (Shared::default(), Shared::default());
    let capture = Capture::new(Box::new(recording.clone()), origin(), start()).unwrap();
    let names = capture.vm_names(web());
    play(Feed::new(pipeline(names, output.clone()), Some(capture)).with_logs());
    (output.0.take(), recording.0.take())
}

#[test]
fn what_is_only_recorded_replays_as_what_is_traced_too() {
    let (live, recording) = capture();
    let alone = Shared::default();
    let capture = Capture::new(Box::new(alone.clone()), origin(), start()).unwrap();
    play(Feed::recording(capture, web()));
    let alone = alone.0.take();
    for recording in [recording, alone] {
        let recording = Recording::open(&recording[..]).unwrap();
        let output = Shared::default();
        let pipeline = pipeline(recording.vm_names(), output.clone());
        recording.replay(pipeline).unwrap();
        assert_eq!(output.0.take(), live);
    }
}

#[test]
fn a_feed_gives_its_pipeline_all_that_it_gets() {
    let (live, _) = capture();
    let output = Shared::default();
    play(Feed::new(pipeline(web(), output.clone()), None).with_logs());
    let unrecorded = String::from_utf8(output.0.take()).unwrap();
    assert_eq!(String::from_utf8(live).unwrap(), unrecorded);
    for said in [
        "device driver",
        "waits in rr_wait",
        "last_seen_ns=22",
        "src-downtime-start",
        "lost count=2",
        "vmm 7 ended",
        "QEMU log src",
    ] {
        assert!(unrecorded.contains(said), "{said}: {unrecorded}");
    }
}

/// A writer whose disk may be full.
#[derive(Clone, Default)]
struct Disk {
    full: Rc<Cell<bool>>,
}

impl io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.full.get() {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_recording_that_cannot_be_written_ends_the_trace() {
    let disk = Disk::default();
    let capture = Capture::new(Box::new(disk.clone()), origin(), start()).unwrap();
    let mut feed = Feed::new(pipeline(web(), Shared::default()), Some(capture));
    feed.advance(10).unwrap();
    disk.full.set(true);
    feed.losses(vec![Loss::any(1, (10, 15))]);
    disk.full.set(false);
    let error = feed.advance(20).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().contains("the recording"), "{error}");
}

#[test]
fn a_replay_writes_what_the_trace_wrote() {
    let (live, recording) = capture();
    assert!(live.windows(3).any(|word| word == b"web"), "{live:?}");
    let recording = Recording::open(recording.as_slice()).unwrap();
    assert_eq!(recording.start, start());
    let output = Shared::default();
    let pipeline = pipeline(recording.vm_names(), output.clone()).with_logs();
    let replayed = recording.replay(pipeline).unwrap();
    assert_eq!(replayed.cut, None);
    assert_eq!(replayed.summary.lost_total(), 2);
    let replayed = output.0.take();
    assert_eq!(String::from_utf8(replayed), String::from_utf8(live));
}

#[test]
fn a_recording_has_no_kernel_address() {
    let (_, recording) = capture();
    let address = DEVICE.to_ne_bytes();
    assert!(recording.windows(8).all(|word| word != address));
    let text = String::from_utf8_lossy(&recording);
    assert!(!text.contains(&DEVICE.to_string()), "{text}");
}

#[test]
fn user_addresses_stay() {
    let mut numbers = addresses::Addresses::new(false);
    let map = record::Map {
        device: DEVICE,
        address: 0x7f00_0000_1000,
        size: 0x1000,
        offset: 0,
        result: (-libc::EINVAL).into(),
        origin: Origin::Seen.wire(),
        reserved: 0,
    };
    let mut words = record(1, &map);
    numbers.replace(words.as_mut_bytes());
    let expected = record::Map { device: 1, ..map };
    assert_eq!(words, record(1, &expected));
    assert_eq!(
        (numbers.of(DEVICE), numbers.of(!0), numbers.of(0)),
        (1, 2, 0)
    );
}

#[test]
fn what_is_no_recording_is_refused() {
    let (_, recording) = capture();
    for bad in [&[][..], &recording[..20], b"{\"type\":\"summary\"}\n"] {
        assert!(Recording::open(bad).is_err(), "{bad:?}");
    }
}

/// Cut at any byte behind its start, a recording gives a part of what the whole gives, and the place.
#[test]
fn a_recording_that_was_cut_off_gives_what_is_there() {
    let (live, recording) = capture();
    let live = String::from_utf8(live).unwrap();
    let first = live.lines().next().unwrap();
    let mut said = 0;
    for length in 0..recording.len() {
        let Ok(cut) = Recording::open(&recording[..length]) else {
            assert_eq!(said, 0, "a longer recording cannot be opened");
            continue;
        };
        let output = Shared::default();
        let pipeline = pipeline(cut.vm_names(), output.clone());
        let replayed = cut.replay(pipeline).unwrap();
        let place = replayed.cut.unwrap().0;
        assert!(place <= length as u64, "{place} of {length}");
        assert_eq!(replayed.summary.seen, None);
        let text = String::from_utf8(output.0.take()).unwrap();
        if text.lines().next() == Some(first) {
            said += 1;
        }
    }
    assert!(said > 0, "the first line is in no part");
}

#[test]
fn a_recording_of_another_version_is_refused() {
    let later = Start {
        version: VERSION + 1,
        ..start()
    };
    let recording = Shared::default();
    Capture::new(Box::new(recording.clone()), origin(), later).unwrap();
    assert!(Recording::open(recording.0.take().as_slice()).is_err());
}

/// Every kind of record, with a kernel address wherever it may have one.
#[test]
fn each_kind_of_record_loses_its_own_addresses() {
    for kind in KINDS {
        let mut record = vec![0; kind.size];
        record[..4].copy_from_slice(&kind.number.to_ne_bytes());
        let offsets = kind
            .fields
            .iter()
            .filter(|field| field.unit == Unit::KernelAddress);
        let offsets: Vec<usize> = offsets.map(|field| field.offset).collect();
        for offset in &offsets {
            record[*offset..offset + 8].copy_from_slice(&DEVICE.to_ne_bytes());
        }
        addresses::Addresses::new(false).replace(&mut record);
        for offset in offsets {
            assert_eq!(
                record[offset..offset + 8],
                1_u64.to_ne_bytes(),
                "{}",
                kind.name
            );
        }
    }
}

/// A source whose first read fails.
struct Failing<'a> {
    error: Option<io::ErrorKind>,
    bytes: &'a [u8],
}

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.error.take() {
            Some(error) => Err(error.into()),
            None => self.bytes.read(buffer),
        }
    }
}

#[test]
fn only_an_interrupted_read_is_repeated() {
    let (_, recording) = capture();
    let open = |error| {
        let (error, bytes) = (Some(error), recording.as_slice());
        Recording::open(Failing { error, bytes }).map(|recording| recording.start)
    };
    assert_eq!(open(io::ErrorKind::Interrupted).unwrap(), start());
    assert!(open(io::ErrorKind::TimedOut).is_err());
}
