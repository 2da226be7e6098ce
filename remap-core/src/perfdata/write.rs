//! Writes a recording.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use remap_common::record::{Consumed, Data, Fault, Header, LostKind, Read, Record as _, Signal};
use zerocopy::FromBytes as _;

use super::{
    COMMON, ClockPair, FILLED, FIRST_DERIVED, MAGIC, Machine, PIPE_HEADER, STEP, event_of,
    format::{Layout, STEP_FIELDS, size_of},
    header::{Bytes, Head, feature},
    id_of, kind,
};
use crate::account::Loss;

/// The longest part of a step, bytes: a sample has at most 64 KiB.
const PART: usize = 32 << 10;
/// The longest text of a derived event, bytes.
const TEXT: usize = 1024;
/// Of how many threads the name is known.
const THREADS: usize = 16 << 10;

/// A value of a derived event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// Text without a byte 0; at most 1 KiB of it is kept.
    Text(String),
}

/// Where a recording goes: a stream, unless it says otherwise.
pub trait Output: Write {
    /// Whether what was written can be overwritten.
    fn is_file(&self) -> bool {
        false
    }

    /// Goes back to where the recording began; only in a file.
    ///
    /// # Errors
    /// If that fails.
    fn rewind(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::NotSeekable.into())
    }

    /// Waits until everything has arrived: nothing more is written.
    ///
    /// # Errors
    /// If something could not be written.
    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Output + ?Sized> Output for Box<W> {
    fn is_file(&self) -> bool {
        (**self).is_file()
    }

    fn rewind(&mut self) -> io::Result<()> {
        (**self).rewind()
    }

    fn close(&mut self) -> io::Result<()> {
        (**self).close()
    }
}

/// A recording that grows.
pub struct Writer<W> {
    out: W,
    head: Head,
    /// How much was written, and where the data begins.
    written: u64,
    data: u64,
    comms: HashMap<u32, [u8; 16]>,
    /// CLOCK_MONOTONIC ns of the last record.
    latest_ns: u64,
    /// Room for the body of a sample.
    body: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn new(out: W, machine: Machine, clocks: ClockPair) -> io::Result<Self> {
        Self::with_derived(out, (machine, clocks), &[])
    }

    /// Begins a recording that has derived events too.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn with_derived(
        out: W,
        (machine, clocks): (Machine, ClockPair),
        layouts: &[Layout],
    ) -> io::Result<Self> {
        let mut writer = Self {
            out,
            head: Head::new(machine, clocks, layouts),
            written: 0,
            data: 0,
            comms: HashMap::new(),
            latest_ns: clocks.monotonic_ns,
            body: Vec::new(),
        };
        writer.begin()?;
        writer.data = writer.written;
        Ok(writer)
    }

    fn begin(&mut self) -> io::Result<()> {
        self.raw(MAGIC)?;
        self.raw(&PIPE_HEADER.to_le_bytes())?;
        let filler = usize::try_from(FILLED - PIPE_HEADER).unwrap_or_default() - 8 - 8 - 4;
        let host = Bytes::default().bytes(self.head.machine.host.as_bytes());
        let mut host = host.0;
        host.truncate(255);
        host.resize(filler, 0);
        let length = u32::try_from(filler).unwrap_or_default();
        let body = Bytes::default()
            .u64(feature::HOSTNAME.into())
            .u32(length)
            .bytes(&host);
        self.record(kind::HEADER_FEATURE, &body.0)?;
        let tracepoints: Vec<(u16, String)> = self
            .head
            .tracepoints
            .iter()
            .map(|tracepoint| (tracepoint.id, tracepoint.name.clone()))
            .collect();
        for (event, _) in &tracepoints {
            let body = Bytes::default()
                .bytes(&Head::attribute(*event))
                .u64(id_of(*event));
            self.record(kind::HEADER_ATTR, &body.0)?;
        }
        // Its data follows the record.
        let data = self.head.tracing_data();
        let length = u32::try_from(data.len()).unwrap_or_default();
        self.record(kind::HEADER_TRACING_DATA, &length.to_le_bytes())?;
        self.raw(&data)?;
        for (event, name) in tracepoints {
            // 2: PERF_EVENT_UPDATE__NAME
            let body = Bytes::default().u64(2).u64(id_of(event));
            let body = body.bytes(b"remap:").bytes(name.as_bytes()).bytes(&[0]);
            self.record(kind::EVENT_UPDATE, &body.pad(8).0)?;
        }
        // The host name once more: file mode overwrites the filler.
        for (number, section) in self.head.features() {
            let body = Bytes::default().u64(number.into()).bytes(&section).pad(8);
            self.record(kind::HEADER_FEATURE, &body.0)?;
        }
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn record(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let length = u16::try_from(8 + body.len()).map_err(io::Error::other)?;
        let head = Bytes::default().u32(kind).u16(0).u16(length).0;
        self.raw(&head)?;
        self.raw(body)
    }

    /// Writes a record of the ring.
    ///
    /// # Errors
    /// What the output returns.
    pub fn sample(&mut self, record: &[u8]) -> io::Result<()> {
        let Ok((header, _)) = Header::read_from_prefix(record) else {
            return Ok(());
        };
        self.latest_ns = self.latest_ns.max(header.time_ns);
        if self.comms.get(&header.tid) != Some(&header.comm) {
            if self.comms.len() >= THREADS {
                self.comms.clear();
            }
            self.comms.insert(header.tid, header.comm);
            self.comm(&header)?;
        }
        self.event(event_of(header.kind), &header, record)
    }

    /// The name of a thread.
    fn comm(&mut self, header: &Header) -> io::Result<()> {
        let body = Bytes::default()
            .u32(header.pid)
            .u32(header.tid)
            .bytes(&header.comm)
            .bytes(&[0; 8]);
        let body = body.bytes(&origin(header.pid, header.tid, header.time_ns));
        self.record(kind::COMM, &body.0)
    }

    fn event(&mut self, event: u16, header: &Header, fields: &[u8]) -> io::Result<()> {
        // The length before the raw data makes 4 bytes more.
        let padded = (COMMON + fields.len() + 4).next_multiple_of(8) - 4;
        let body = Bytes(std::mem::take(&mut self.body));
        let body = body
            .u64(id_of(event))
            .u64(0)
            .u32(header.pid)
            .u32(header.tid)
            .u64(header.time_ns)
            .u32(header.cpu)
            .u32(0)
            .u64(1)
            .u32(u32::try_from(padded).map_err(io::Error::other)?)
            .u16(event)
            .u16(0)
            .u32(header.tid)
            .bytes(fields)
            .pad(8);
        let written = self.record(kind::SAMPLE, &body.0);
        self.body = body.0;
        self.body.clear();
        written
    }

    /// Writes a step: the text of a JSON object.
    ///
    /// # Errors
    /// What the output returns.
    pub fn step(&mut self, json: &str) -> io::Result<()> {
        let parts: Vec<&[u8]> = json.as_bytes().chunks(PART).collect();
        let count = u32::try_from(parts.len()).map_err(io::Error::other)?;
        let header = Header {
            kind: 0,
            cpu: 0,
            time_ns: self.latest_ns,
            pid: 0,
            tid: 0,
            comm: [0; 16],
        };
        for (number, part) in (0..).zip(parts) {
            // A string that ends in 0, and where it lies in the sample.
            let length = u32::try_from(part.len() + 1).map_err(io::Error::other)?;
            let at = u32::try_from(STEP_FIELDS).map_err(io::Error::other)?;
            let fields = Bytes::default()
                .u32(number)
                .u32(count)
                .u32(length << 16 | at)
                .bytes(part)
                .bytes(&[0]);
            self.event(STEP, &header, &fields.0)?;
        }
        Ok(())
    }

    /// Writes a derived event of the layout with this number, with its values in the layout's order.
    ///
    /// # Errors
    /// What the output returns.
    pub fn derived(
        &mut self,
        layout: u16,
        (time_ns, pid, tid): (u64, u32, u32),
        values: &[Value],
    ) -> io::Result<()> {
        let header = Header {
            kind: 0,
            cpu: 0,
            time_ns,
            pid,
            tid,
            comm: [0; 16],
        };
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        let sizes = values.iter().map(|value| size_of(is_text(value)));
        let mut at = COMMON + sizes.sum::<usize>();
        let (mut fixed, mut texts) = (Bytes::default(), Bytes::default());
        for value in values {
            match value {
                Value::Number(number) => fixed = fixed.bytes(&number.to_le_bytes()),
                Value::Text(text) => {
                    let text = text
                        .get(..text.floor_char_boundary(TEXT))
                        .unwrap_or_default();
                    let length = text.len() + 1;
                    let place = u32::try_from(length << 16 | at).map_err(io::Error::other)?;
                    fixed = fixed.u32(place);
                    texts = texts.bytes(text.as_bytes()).bytes(&[0]);
                    at += length;
                }
            }
        }
        let event = FIRST_DERIVED.saturating_add(layout);
        self.event(event, &header, &fixed.bytes(&texts.0).0)
    }

    /// Writes how many records were lost; the steps say which, and why.
    ///
    /// # Errors
    /// What the output returns.
    pub fn lost(&mut self, loss: &Loss) -> io::Result<()> {
        if loss.count == 0 {
            return Ok(());
        }
        let kind = match loss.records {
            LostKind::Signal | LostKind::Interrupt => Signal::KIND,
            LostKind::Read => Read::KIND,
            LostKind::Consumed => Consumed::KIND,
            LostKind::Fault => Fault::KIND,
            LostKind::Data => Data::KIND,
            // It can have been any: perf needs some event.
            LostKind::Other => 0,
        };
        let body = Bytes::default().u64(id_of(event_of(kind))).u64(loss.count);
        let body = body.bytes(&origin(0, 0, loss.until_ns));
        self.record(kind::LOST, &body.0)
    }

    /// What was written so far is complete up to some time: perf may sort and show it. It is passed on, so
    /// that no more than this is missing if the recording is cut off.
    ///
    /// # Errors
    /// What the output returns.
    pub fn round(&mut self) -> io::Result<()> {
        self.record(kind::FINISHED_ROUND, &[])?;
        self.out.flush()
    }

    /// The output.
    pub fn out(&self) -> &W {
        &self.out
    }
}

impl<W: Output> Writer<W> {
    /// Makes it a file of perf's file mode, where the output can go back.
    ///
    /// # Errors
    /// What the output returns.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.flush()?;
        let (data, end) = (self.data, self.written);
        if self.out.is_file() {
            self.out.write_all(&self.head.file_trailer(end))?;
            self.out.flush()?;
            self.out.rewind()?;
            self.out.write_all(&self.head.file_header(data, end))?;
            self.out.flush()?;
        }
        self.out.close()
    }
}

/// `sample_id` of a record that is no sample.
fn origin(pid: u32, tid: u32, time_ns: u64) -> Vec<u8> {
    Bytes::default()
        .u32(pid)
        .u32(tid)
        .u64(time_ns)
        .u64(0)
        .u64(id_of(STEP))
        .0
}
