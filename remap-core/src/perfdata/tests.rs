use std::io::Cursor;

use proptest::prelude::*;
use remap_common::record::{Device, Frame, Header, LostKind, NAME_BYTES, Origin, Record as _};
use zerocopy::IntoBytes as _;

use super::*;
use crate::account::Loss;

const CLOCKS: ClockPair = ClockPair {
    wall_ns: 1_790_000_000_000_000_000,
    monotonic_ns: 1_000,
};

fn machine() -> Machine {
    Machine {
        host: "host".into(),
        kernel: "6.12.0".into(),
        cpus: (2, 2),
        cpu: "a CPU".into(),
    }
}

/// A record about a device, of a thread with this name.
fn record(time_ns: u64, comm: u8) -> Vec<u8> {
    let frame = Frame::<Device> {
        header: Header {
            kind: Device::KIND,
            cpu: 1,
            time_ns,
            pid: 7,
            tid: 8,
            comm: [comm; 16],
        },
        body: Device {
            device: 0x1234,
            name: [b'n'; NAME_BYTES],
            driver: [b'd'; NAME_BYTES],
            origin: Origin::Found.wire(),
            reserved: 0,
        },
        trail: (),
    };
    [frame.header.as_bytes(), frame.body.as_bytes()].concat()
}

/// What goes in, and what is to come out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    Record(Vec<u8>),
    Step(String),
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    let one = prop_oneof![
        (2_000_u64..1 << 40, b'a'..b'd').prop_map(|(ns, comm)| Written::Record(record(ns, comm))),
        "[ -~]{0,40}".prop_map(Written::Step),
        Just(Written::Step("x".repeat(100_000))),
    ];
    prop::collection::vec(one, 0..12)
}

fn recording(parts: &[Written]) -> Writer<Cursor<Vec<u8>>> {
    let mut writer = Writer::new(Cursor::new(Vec::new()), machine(), CLOCKS).unwrap();
    for part in parts {
        match part {
            Written::Record(record) => writer.sample(record).unwrap(),
            Written::Step(json) => writer.step(json).unwrap(),
        }
        writer.lost(&Loss::any(3, (1, 2))).unwrap();
        writer.round().unwrap();
    }
    writer
}

/// Everything in a recording, and where it was cut off.
fn read(bytes: &[u8]) -> (Vec<Written>, std::io::Result<Option<Place>>) {
    let mut parts = Vec::new();
    let mut reader = match Reader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return (parts, Err(error)),
    };
    loop {
        match reader.next_part() {
            Ok(None) => return (parts, Ok(reader.cut())),
            Ok(Some(Part::Record(record))) => parts.push(Written::Record(record.to_vec())),
            Ok(Some(Part::Step(json))) => {
                parts.push(Written::Step(String::from_utf8(json).unwrap()));
            }
            Err(error) => return (parts, Err(error)),
        }
    }
}

impl Output for Cursor<Vec<u8>> {
    fn is_file(&self) -> bool {
        true
    }

    fn rewind(&mut self) -> std::io::Result<()> {
        self.set_position(0);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// An empty step is no step: it has no part.
    #[test]
    fn what_was_written_is_read(parts in written(), at in any::<prop::sample::Index>()) {
        let expected: Vec<Written> = parts
            .iter()
            .filter(|part| **part != Written::Step(String::new()))
            .cloned()
            .collect();
        let mut writer = recording(&parts);
        let growing = writer.out().get_ref().clone();
        let (seen, cut) = read(&growing);
        prop_assert_eq!(&seen, &expected);
        prop_assert_eq!(cut.unwrap(), None);

        // Cut anywhere: a prefix, and the place.
        let length = at.index(growing.len());
        let (seen, cut) = read(&growing[..length]);
        prop_assert!(expected.starts_with(&seen));
        match cut {
            Ok(Some(Place(byte))) => prop_assert!(byte <= length as u64),
            Ok(None) => prop_assert!(read(&growing[..length]).0 == seen),
            Err(error) => prop_assert!(length < FILLED as usize, "{}", error),
        }

        writer.finish().unwrap();
        let file = writer.out().get_ref().clone();
        prop_assert_eq!(&file[FILLED as usize..growing.len()], &growing[FILLED as usize..]);
        let (seen, cut) = read(&file);
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(cut.unwrap(), None);
    }

    #[test]
    fn damage_is_an_error_or_a_difference(
        parts in written(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = recording(&parts).out().get_ref().clone();
        let place = at.index(bytes.len());
        bytes[place] ^= flip;
        let mut parts = read_any(&bytes);
        bytes.truncate(place);
        bytes.extend(noise);
        parts += read_any(&bytes);
        prop_assert!(parts < 100);
    }
}

/// How many parts are read; none of them need be text.
fn read_any(bytes: &[u8]) -> usize {
    let Ok(mut reader) = Reader::new(bytes) else {
        return 0;
    };
    let mut parts = 0;
    while let Ok(Some(_)) = reader.next_part() {
        parts += 1;
    }
    parts
}

#[test]
fn what_is_no_recording_is_refused() {
    let reason = |bytes: &[u8]| match Reader::new(bytes) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert!(reason(b"").contains("empty"));
    assert!(reason(b"2ELIFREP\0\0\0\0\0\0\0\x10").contains("byte order"));
    assert!(reason(b"\x7fELF and so on").contains("no perf.data"));
    assert!(reason(b"PERFILE2\x10").contains("cut off"));
    assert!(reason(b"PERFILE2\xff\0\0\0\0\0\0\0").contains("none of perf's"));
}

#[test]
fn the_filler_has_room_for_the_header() {
    let head = header::Head::new(machine(), CLOCKS, &[]);
    assert!(head.file_header(0, 0).len() as u64 <= FILLED);
}

#[test]
fn each_kind_has_a_format() {
    let formats = format::tracepoints(&[]);
    assert_eq!(formats.len(), remap_common::record::KINDS.len() + 1);
    let signal = formats
        .iter()
        .find(|format| format.name == "signal")
        .unwrap();
    assert!(
        signal.format.contains("field:u64 addend;"),
        "{}",
        signal.format
    );
    assert!(
        signal.format.contains("field:u32 index;"),
        "{}",
        signal.format
    );
}

/// A loss is one of the tracepoint that the lost records can have been of.
#[test]
fn a_loss_has_the_event_of_its_records() {
    let loss = |records| {
        let mut writer = recording(&[]);
        let before = writer.out().get_ref().len();
        let loss = Loss {
            records,
            ..Loss::any(3, (1, 2))
        };
        writer.lost(&loss).unwrap();
        let id = &writer.out().get_ref()[before + 8..before + 16];
        u64::from_le_bytes(id.try_into().unwrap())
    };
    let fault = id_of(event_of(remap_common::record::Fault::KIND));
    assert_eq!(loss(LostKind::Fault), fault);
    assert_eq!(loss(LostKind::Other), id_of(STEP));
    assert_eq!(loss(LostKind::Signal), loss(LostKind::Interrupt));
}
