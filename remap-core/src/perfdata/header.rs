//! What stands around the data: attributes, tracepoint formats, feature sections.

use super::{
    FILE_HEADER, MAGIC,
    format::{Layout, Tracepoint, tracepoints},
    id_of, sample,
};

/// `HEADER_*` of tools/perf/util/header.h.
pub(super) mod feature {
    pub const TRACING_DATA: u32 = 1;
    pub const HOSTNAME: u32 = 3;
    pub const OSRELEASE: u32 = 4;
    pub const VERSION: u32 = 5;
    pub const ARCH: u32 = 6;
    pub const NRCPUS: u32 = 7;
    pub const CPUDESC: u32 = 8;
    pub const EVENT_DESC: u32 = 12;
    pub const CLOCK_DATA: u32 = 29;
}

/// The machine that a recording is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its host name.
    pub host: String,
    /// The release of its kernel.
    pub kernel: String,
    /// How many CPUs it has, and how many of them are online.
    pub cpus: (u32, u32),
    /// What they are.
    pub cpu: String,
}

/// One moment by two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockPair {
    /// CLOCK_REALTIME, ns.
    pub wall_ns: u64,
    /// CLOCK_MONOTONIC, ns.
    pub monotonic_ns: u64,
}

impl ClockPair {
    /// The wall clock time (CLOCK_REALTIME ns) of a moment (CLOCK_MONOTONIC ns); `None` if that is before 1970.
    pub fn wall_of(self, monotonic_ns: u64) -> Option<u64> {
        let since = i128::from(monotonic_ns) - i128::from(self.monotonic_ns);
        u64::try_from(i128::from(self.wall_ns) + since).ok()
    }
}

/// Of `struct perf_event_attr` (`PERF_ATTR_SIZE_VER5`), bytes.
const ATTR_BYTES: u32 = 112;
/// `PERF_TYPE_TRACEPOINT`.
const TRACEPOINT: u32 = 2;
/// `sample_id_all` and `use_clockid` among its flags.
const FLAGS: u64 = 1 << 18 | 1 << 25;
/// CLOCK_MONOTONIC.
const MONOTONIC: u32 = 1;

/// Little-endian words, one after the other.
#[derive(Default)]
pub(super) struct Bytes(pub Vec<u8>);

impl Bytes {
    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// Zeros up to a multiple of `to`.
    pub fn pad(mut self, to: usize) -> Self {
        let length = self.0.len().next_multiple_of(to);
        self.0.resize(length, 0);
        self
    }

    /// A string as perf's header has it: its padded length, then itself.
    pub fn string(self, text: &str) -> Self {
        let text = Self::default().bytes(text.as_bytes()).u16(0).pad(64);
        let length = u32::try_from(text.0.len()).unwrap_or_default();
        self.u32(length).bytes(&text.0)
    }
}

/// What a recording's header says.
pub(super) struct Head {
    pub tracepoints: Vec<Tracepoint>,
    pub machine: Machine,
    pub clocks: ClockPair,
}

impl Head {
    pub fn new(machine: Machine, clocks: ClockPair, layouts: &[Layout]) -> Self {
        Self {
            tracepoints: tracepoints(layouts),
            machine,
            clocks,
        }
    }

    /// The attribute of a tracepoint.
    pub fn attribute(event: u16) -> Vec<u8> {
        Bytes::default()
            .u32(TRACEPOINT)
            .u32(ATTR_BYTES)
            .u64(event.into())
            .u64(1)
            .u64(sample::ALL)
            .u64(0)
            .u64(FLAGS)
            // wakeup, breakpoint, branches, registers, stack
            .bytes(&[0; 8 + 16 + 16 + 4])
            .u32(MONOTONIC)
            .pad(ATTR_BYTES as usize)
            .0
    }

    /// The formats of the tracepoints, as `trace-cmd` stores them.
    pub fn tracing_data(&self) -> Vec<u8> {
        let mut data = Bytes::default()
            .bytes(&[23, 8, 68])
            .bytes(b"tracing0.6\0")
            // Little endian, words of 8 bytes, pages of 4 KiB.
            .bytes(&[0, 8])
            .u32(4096);
        for (name, text) in [("header_page\0", PAGE), ("header_event\0", EVENT)] {
            data = data
                .bytes(name.as_bytes())
                .u64(text.len() as u64)
                .bytes(text.as_bytes());
        }
        let count = u32::try_from(self.tracepoints.len()).unwrap_or_default();
        data = data.u32(0).u32(1).bytes(b"remap\0").u32(count);
        for tracepoint in &self.tracepoints {
            let format = tracepoint.format.as_bytes();
            data = data.u64(format.len() as u64).bytes(format);
        }
        // No kernel symbols, no strings, no command lines.
        data.u32(0).u32(0).u64(0).pad(8).0
    }

    /// The feature sections that pipe mode has too.
    pub fn features(&self) -> Vec<(u32, Vec<u8>)> {
        let string = |text: &str| Bytes::default().string(text).0;
        let Machine {
            host,
            kernel,
            cpus,
            cpu,
        } = &self.machine;
        let cpus = Bytes::default().u32(cpus.0).u32(cpus.1).0;
        let clocks = Bytes::default()
            .u32(1)
            .u32(MONOTONIC)
            .u64(self.clocks.wall_ns)
            .u64(self.clocks.monotonic_ns);
        vec![
            (feature::HOSTNAME, string(host)),
            (feature::OSRELEASE, string(kernel)),
            (
                feature::VERSION,
                string(concat!("remap ", env!("CARGO_PKG_VERSION"))),
            ),
            (feature::ARCH, string("x86_64")),
            (feature::NRCPUS, cpus),
            (feature::CPUDESC, string(cpu)),
            (feature::CLOCK_DATA, clocks.0),
        ]
    }

    /// The header of file mode, the ids and the attributes, for data between these two offsets.
    pub fn file_header(&self, data: u64, end: u64) -> Vec<u8> {
        let count = self.tracepoints.len() as u64;
        let attributes_at = FILE_HEADER + 8 * count;
        let entry = u64::from(ATTR_BYTES) + 16;
        let mut features = self.feature_numbers();
        features.sort_unstable();
        let bits = features
            .iter()
            .fold(0, |bits, number| bits | 1_u64 << number);
        let mut header = Bytes::default()
            .bytes(MAGIC)
            .u64(FILE_HEADER)
            .u64(entry)
            .u64(attributes_at)
            .u64(entry * count)
            .u64(data)
            .u64(end - data)
            // No event types; the features.
            .bytes(&[0; 16])
            .u64(bits)
            .bytes(&[0; 24]);
        for tracepoint in &self.tracepoints {
            header = header.u64(id_of(tracepoint.id));
        }
        for (at, tracepoint) in (FILE_HEADER..).step_by(8).zip(&self.tracepoints) {
            header = header.bytes(&Self::attribute(tracepoint.id)).u64(at).u64(8);
        }
        header.0
    }

    fn feature_numbers(&self) -> Vec<u32> {
        let sections = self.sections().into_iter();
        sections.map(|(number, _)| number).collect()
    }

    /// The feature sections of file mode, by number.
    fn sections(&self) -> Vec<(u32, Vec<u8>)> {
        let count = u32::try_from(self.tracepoints.len()).unwrap_or_default();
        let mut events = Bytes::default().u32(count).u32(ATTR_BYTES);
        for tracepoint in &self.tracepoints {
            events = events
                .bytes(&Self::attribute(tracepoint.id))
                .u32(1)
                .string(&format!("remap:{}", tracepoint.name))
                .u64(id_of(tracepoint.id));
        }
        let mut sections = self.features();
        sections.push((feature::TRACING_DATA, self.tracing_data()));
        sections.push((feature::EVENT_DESC, events.0));
        sections.sort_unstable_by_key(|(number, _)| *number);
        sections
    }

    /// What file mode has behind the data that ends at `end`: a table of the sections, and these.
    pub fn file_trailer(&self, end: u64) -> Vec<u8> {
        let sections = self.sections();
        let mut at = end + 16 * sections.len() as u64;
        let (mut table, mut bodies) = (Bytes::default(), Bytes::default());
        for (_, body) in sections {
            table = table.u64(at).u64(body.len() as u64);
            at += body.len() as u64;
            bodies = bodies.bytes(&body);
        }
        table.bytes(&bodies.0).0
    }
}

/// `events/header_page` of tracefs, which perf expects.
const PAGE: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
                    \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
                    \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
                    \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n";

/// `events/header_event` of tracefs.
const EVENT: &str = "# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\
                     \tarray       :   32 bits\n\n\tpadding     : type == 29\n\ttime_extend : type == 30\n\
                     \ttime_stamp : type == 31\n\tdata max type_len  == 28\n";
