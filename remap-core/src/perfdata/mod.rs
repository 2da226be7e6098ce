//! Recordings as perf.data files: each record of the ring is a sample of the tracepoint `remap:<kind>`, each
//! step of the trace beside them one of `remap:step`.
//!
//! While it grows, a recording is in perf's pipe mode: a header of 16 bytes, then only records, so that it
//! can be streamed, and read after it was cut at any byte. The first record is a filler. At a clean end
//! [`Writer::finish`] puts the header, the ids and the attributes of perf's file mode in its place, and
//! appends the feature sections; the data between them does not move.
//!
//! Format: `tools/perf/Documentation/perf.data-file-format.txt` of the kernel, and
//! `include/uapi/linux/perf_event.h`. Little endian, as on every machine that the programs run on.

mod format;
mod header;
mod origin;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use format::Layout;
pub use header::{ClockPair, Machine};
pub use origin::Origin;
pub use read::{Part, Place, Reader};
pub use write::{Output, Value, Writer};

/// The numbers of the tracepoints: this, plus the kind of the record.
const FIRST_EVENT: u16 = 0x7260;
/// The tracepoint of steps.
const STEP: u16 = FIRST_EVENT;

/// The tracepoints of derived events are numbered from here: a reader of records passes over them.
const FIRST_DERIVED: u16 = 0x7200;

/// The tracepoint of a kind of record.
fn event_of(kind: u32) -> u16 {
    let kind = u16::try_from(kind).ok();
    let event = kind.and_then(|kind| FIRST_EVENT.checked_add(kind));
    event.unwrap_or(u16::MAX)
}

/// The id of the samples of a tracepoint.
fn id_of(event: u16) -> u64 {
    u64::from(event) << 16
}

/// `PERF_RECORD_*`, and `PERF_RECORD_USER_TYPE_START` onwards (tools/lib/perf/include/perf/event.h).
mod kind {
    pub const LOST: u32 = 2;
    pub const COMM: u32 = 3;
    pub const SAMPLE: u32 = 9;
    pub const HEADER_ATTR: u32 = 64;
    pub const HEADER_TRACING_DATA: u32 = 66;
    pub const FINISHED_ROUND: u32 = 68;
    pub const EVENT_UPDATE: u32 = 78;
    pub const HEADER_FEATURE: u32 = 80;
}

/// `PERF_SAMPLE_*`: what each sample has, in the order in which it has that.
mod sample {
    pub const IP: u64 = 1;
    pub const TID: u64 = 1 << 1;
    pub const TIME: u64 = 1 << 2;
    pub const CPU: u64 = 1 << 7;
    pub const PERIOD: u64 = 1 << 8;
    pub const RAW: u64 = 1 << 10;
    pub const IDENTIFIER: u64 = 1 << 16;
    pub const ALL: u64 = IP | TID | TIME | CPU | PERIOD | RAW | IDENTIFIER;
}

/// The file's first bytes.
const MAGIC: &[u8; 8] = b"PERFILE2";
/// Of the header of pipe mode, bytes.
const PIPE_HEADER: u64 = 16;
/// Of the header of file mode, bytes.
const FILE_HEADER: u64 = 104;
/// Where the filler ends: room for the header of file mode, the ids and the attributes.
const FILLED: u64 = 8192;
/// What precedes the fields of a tracepoint in its sample: `common_type` and so on.
const COMMON: usize = 8;
