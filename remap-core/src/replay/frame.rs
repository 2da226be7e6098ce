//! Frames: bytes ↔ records and steps.

use std::io::{self, Read, Write};

use zerocopy::IntoBytes as _;

use super::{Step, invalid};

const RECORD: u32 = 0;
const STEP: u32 = 1;

/// The longest payload, bytes.
const MAX_PAYLOAD: usize = 1 << 20;

/// One frame.
pub(super) enum Frame<'a> {
    /// A record of the ring, aligned as there.
    Record(&'a [u8]),
    /// A step.
    Step(Step),
}

/// Reads frames.
pub(super) struct Reader<R> {
    source: R,
    /// Words, so that a record is aligned.
    payload: Vec<u64>,
}

impl<R: Read> Reader<R> {
    pub fn new(source: R) -> Self {
        Self {
            source,
            payload: Vec::new(),
        }
    }

    /// The next frame; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        let mut header = [0; 8];
        if !fill(&mut self.source, &mut header)? {
            return Ok(None);
        }
        let [k0, k1, k2, k3, l0, l1, l2, l3] = header;
        let kind = u32::from_le_bytes([k0, k1, k2, k3]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > MAX_PAYLOAD {
            return Err(invalid("a frame that is too long"));
        }
        self.payload.clear();
        self.payload.resize(length.div_ceil(8), 0);
        let payload = &mut self.payload.as_mut_bytes()[..length];
        self.source.read_exact(payload)?;
        match kind {
            RECORD => Ok(Some(Frame::Record(payload))),
            STEP => Ok(Some(Frame::Step(serde_json::from_slice(payload)?))),
            _ => Err(invalid("a frame of an unknown kind")),
        }
    }
}

/// Fills a buffer; false if the source ends before its first byte.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let (first, rest) = buffer.split_at_mut(1);
    loop {
        match source.read(first) {
            Ok(0) => return Ok(false),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    source.read_exact(rest)?;
    Ok(true)
}

/// Writes a record.
pub(super) fn write_record(to: &mut impl Write, record: &[u8]) -> io::Result<()> {
    write(to, RECORD, record)
}

/// Writes a step.
pub(super) fn write_step(to: &mut impl Write, step: &Step) -> io::Result<()> {
    write(to, STEP, &serde_json::to_vec(step)?)
}

fn write(to: &mut impl Write, kind: u32, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    to.write_all(&kind.to_le_bytes())?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(payload)
}
