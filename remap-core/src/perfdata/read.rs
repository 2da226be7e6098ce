//! Reads a recording, in either mode, also one that was cut off or damaged.

use std::io::{self, Read};

use remap_common::record::KINDS;
use zerocopy::IntoBytes as _;

use super::{
    COMMON, FILE_HEADER, FILLED, FIRST_EVENT, MAGIC, Origin, PIPE_HEADER, STEP,
    format::STEP_FIELDS, id_of, kind,
};

/// What a recording consists of.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A record of the ring, aligned as there.
    Record(&'a [u8]),
    /// A step: the text of a JSON object.
    Step(Vec<u8>),
}

/// Where a recording was cut off: the byte at which its last whole record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub u64);

/// How a step may be cut into parts.
const MOST_PARTS: u32 = 64;

/// What precedes the raw data in a sample: identifier, ip, pid, tid, time, cpu, period, length.
const SAMPLE: usize = 8 + 8 + 8 + 8 + 8 + 8 + 4;

/// What a finished file keeps of pipe mode before its data, bytes: at most so much of it is looked at.
const MOST_HEADERS: u64 = 1 << 20;

/// A recording that is read from its beginning on.
pub struct Reader<R> {
    source: R,
    /// How much was read.
    at: u64,
    /// Where the data ends, if that is known.
    end: Option<u64>,
    /// The body of the current record, and the fields of a sample: words, so that they are aligned.
    body: Vec<u8>,
    fields: Vec<u64>,
    /// The parts of a step so far.
    parts: (u32, Vec<u8>),
    cut: Option<Place>,
    origin: Origin,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If the source cannot be read, or is no perf.data file.
    pub fn new(source: R) -> io::Result<Self> {
        let mut reader = Self {
            source,
            at: 0,
            end: None,
            body: Vec::new(),
            fields: Vec::new(),
            parts: (0, Vec::new()),
            cut: None,
            origin: Origin::default(),
        };
        reader.begin()?;
        Ok(reader)
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut magic = [0; 8];
        match self.fill(&mut magic)? {
            8 if magic == *MAGIC => {}
            8 if magic.iter().rev().eq(MAGIC) => {
                return Err(invalid(
                    "it is from a machine of the other byte order, which remap does not read",
                ));
            }
            0 => return Err(invalid("it is empty")),
            _ => return Err(invalid("it is no perf.data file")),
        }
        let mut size = [0; 8];
        self.whole(&mut size)?;
        match u64::from_le_bytes(size) {
            PIPE_HEADER => Ok(()),
            FILE_HEADER => self.begin_file(),
            _ => Err(invalid("its header is none of perf's")),
        }
    }

    /// Goes to the data.
    fn begin_file(&mut self) -> io::Result<()> {
        let mut rest = [0; (FILE_HEADER - PIPE_HEADER) as usize];
        self.whole(&mut rest)?;
        let word = |at: usize| word(&rest, at).unwrap_or_default();
        // Behind the size of an attribute, and the place and the size of the attributes.
        let (data, size) = (word(24), word(32));
        let end = data.checked_add(size);
        let Some(end) = end.filter(|_| data >= self.at) else {
            return Err(invalid("its header is damaged"));
        };
        self.end = Some(end);
        // Behind the filler are the records with which pipe mode began.
        if (FILLED..FILLED + MOST_HEADERS).contains(&data) {
            self.skip(FILLED - self.at)?;
            let length = usize::try_from(data - FILLED).unwrap_or_default();
            let mut headers = vec![0; length];
            self.whole(&mut headers)?;
            self.origin.take_all(&headers);
        }
        self.skip(data - self.at)
    }

    /// Where and when it was made, as far as it was read.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where it was cut off; `None` if it was not, or not read that far.
    pub fn cut(&self) -> Option<Place> {
        self.cut
    }

    /// The place after the last whole record that was read.
    pub fn place(&self) -> Place {
        self.cut.unwrap_or(Place(self.at))
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// If the source cannot be read, or is damaged.
    pub fn next_part(&mut self) -> io::Result<Option<Part<'_>>> {
        loop {
            let begin = self.at;
            if self.end.is_some_and(|end| begin >= end) {
                return Ok(None);
            }
            let mut head = [0; 8];
            match self.fill(&mut head)? {
                8 => {}
                0 if self.end.is_none() => return Ok(None),
                _ => return Ok(self.cut_at(begin)),
            }
            let [k0, k1, k2, k3, _, _, s0, s1] = head;
            let size = usize::from(u16::from_le_bytes([s0, s1]));
            let Some(length) = size.checked_sub(8) else {
                return Err(damaged(begin));
            };
            let mut body = std::mem::take(&mut self.body);
            body.resize(length, 0);
            let filled = self.fill(&mut body)?;
            self.body = body;
            if filled < length {
                return Ok(self.cut_at(begin));
            }
            match u32::from_le_bytes([k0, k1, k2, k3]) {
                kind::HEADER_TRACING_DATA => {
                    let size = self.body.first_chunk().copied().map(u32::from_le_bytes);
                    let size = size.ok_or_else(|| damaged(begin))?;
                    if self.skip(size.into()).is_err() {
                        return Ok(self.cut_at(begin));
                    }
                }
                kind::SAMPLE => match self.sample().ok_or_else(|| damaged(begin))? {
                    Sample::Other => {}
                    Sample::Record(length) => {
                        return Ok(Some(Part::Record(&self.fields.as_bytes()[..length])));
                    }
                    Sample::Step(json) => return Ok(Some(Part::Step(json))),
                },
                kind::HEADER_FEATURE => self.origin.take(&self.body),
                _ => {}
            }
        }
    }

    fn cut_at(&mut self, byte: u64) -> Option<Part<'_>> {
        self.cut = Some(Place(byte));
        None
    }

    /// Takes a sample apart; `None` if it is damaged.
    fn sample(&mut self) -> Option<Sample> {
        let identifier = word(&self.body, 0)?;
        let Some(raw) = self.body.get(SAMPLE..) else {
            return Some(Sample::Other);
        };
        let event = u16::from_le_bytes(*raw.first_chunk()?);
        // Samples of others may have another form, and other ids.
        if event < FIRST_EVENT || identifier != id_of(event) {
            return Some(Sample::Other);
        }
        let fields = raw.get(COMMON..)?;
        if event == STEP {
            let part = self.add_part()?;
            return Some(part.map_or(Sample::Other, Sample::Step));
        }
        self.fields.clear();
        self.fields.resize(fields.len().div_ceil(8), 0);
        self.fields.as_mut_bytes()[..fields.len()].copy_from_slice(fields);
        // A sample is padded; a kind that is not known keeps its padding.
        let number = u32::from(event - FIRST_EVENT);
        let kind = KINDS.iter().find(|kind| kind.number == number);
        let length = kind.map_or(fields.len(), |kind| kind.size.min(fields.len()));
        Some(Sample::Record(length))
    }

    /// Adds the part of a step that the current sample has. Returns the step if it is the last one.
    fn add_part(&mut self) -> Option<Option<Vec<u8>>> {
        let raw = self.body.get(SAMPLE..)?;
        let half = |at: usize| {
            raw.get(at..)?
                .first_chunk()
                .copied()
                .map(u32::from_le_bytes)
        };
        let (number, count) = (half(COMMON)?, half(COMMON + 4)?);
        let place = half(COMMON + 8)?;
        let (at, length) = ((place & 0xffff) as usize, (place >> 16) as usize);
        let text = raw.get(at..)?.get(..length)?.split_last()?.1;
        let (expected, parts) = &mut self.parts;
        if number >= count || count > MOST_PARTS || number != *expected || at < STEP_FIELDS {
            return None;
        }
        parts.extend_from_slice(text);
        if number + 1 < count {
            *expected += 1;
            return Some(None);
        }
        *expected = 0;
        Some(Some(std::mem::take(parts)))
    }

    /// Reads until the buffer is full, or the source ends. Returns how much was read.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.at += filled as u64;
        Ok(filled)
    }

    fn whole(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self.fill(buffer)? == buffer.len() {
            true => Ok(()),
            false => Err(invalid("it was cut off in its header")),
        }
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let mut left = bytes;
        let mut buffer = [0; 4096];
        while left > 0 {
            let step = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            self.whole(&mut buffer[..step])?;
            left -= step as u64;
        }
        Ok(())
    }
}

enum Sample {
    /// None of remap's.
    Other,
    /// A record of this length, in `fields`.
    Record(usize),
    Step(Vec<u8>),
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u64::from_le_bytes)
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn damaged(byte: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it is damaged at byte {byte}"),
    )
}
