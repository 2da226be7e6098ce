//! The channel from guest to host: frames on one line of bytes.
//!
//! One line carries everything, so that output and verdict stay in order and
//! nothing is missing once the verdict has arrived.

use std::io::{self, Read, Write};

/// Start of each frame, so that a stray byte on the line is noticed.
const MARK: u8 = 0xa5;
/// Longest payload of one frame.
pub const MAX: usize = 64 * 1024;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of the command's stdout.
    Stdout,
    /// Bytes of the command's stderr.
    Stderr,
    /// A line about what the init is doing.
    Step,
    /// A piece of the kernel log.
    Log,
    /// The verdict, as JSON: the last frame.
    Verdict,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::Stdout,
        Kind::Stderr,
        Kind::Step,
        Kind::Log,
        Kind::Verdict,
    ];

    fn code(self) -> u8 {
        match self {
            Kind::Stdout => 1,
            Kind::Stderr => 2,
            Kind::Step => 3,
            Kind::Log => 4,
            Kind::Verdict => 5,
        }
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub kind: Kind,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// Writes `bytes` as one or more frames.
///
/// # Errors
/// When the line refuses the bytes.
pub fn write(line: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(MAX) {
        let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(6 + piece.len());
        frame.extend_from_slice(&[MARK, kind.code()]);
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(piece);
        line.write_all(&frame)?;
    }
    line.flush()
}

/// Reads the next frame; `None` at a clean end of the line.
///
/// # Errors
/// When the line breaks inside a frame, or carries something else.
pub fn read(line: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut mark = [0];
    loop {
        match line.read(&mut mark) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let mut rest = [0; 5];
    line.read_exact(&mut rest)?;
    let [code, l0, l1, l2, l3] = rest;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    let known = Kind::ALL.into_iter().find(|kind| kind.code() == code);
    let (Some(kind), MARK, Ok(length @ ..=MAX)) = (known, mark[0], usize::try_from(length)) else {
        let text = format!(
            "the guest's channel is out of step: mark {:#x}, kind {code}, length {length}",
            mark[0]
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    };
    let mut bytes = vec![0; length];
    line.read_exact(&mut bytes)?;
    Ok(Some(Frame { kind, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_line_in_order() {
        let mut line = Vec::new();
        write(&mut line, Kind::Stdout, b"a\nb\0c").unwrap();
        write(&mut line, Kind::Verdict, b"{}").unwrap();
        let mut from = line.as_slice();
        assert_eq!(
            read(&mut from).unwrap(),
            Some(Frame {
                kind: Kind::Stdout,
                bytes: b"a\nb\0c".to_vec()
            })
        );
        assert_eq!(
            read(&mut from).unwrap(),
            Some(Frame {
                kind: Kind::Verdict,
                bytes: b"{}".to_vec()
            })
        );
        assert_eq!(read(&mut from).unwrap(), None);
    }

    #[test]
    fn long_payloads_are_split() {
        let mut line = Vec::new();
        write(&mut line, Kind::Log, &vec![7; MAX + 1]).unwrap();
        let mut from = line.as_slice();
        assert_eq!(read(&mut from).unwrap().unwrap().bytes.len(), MAX);
        assert_eq!(read(&mut from).unwrap().unwrap().bytes.len(), 1);
    }

    #[test]
    fn a_foreign_byte_is_an_error() {
        assert!(read(&mut b"Linux version".as_slice()).is_err());
        assert!(read(&mut [MARK, 9, 0, 0, 0, 0].as_slice()).is_err());
        assert!(read(&mut [MARK, 1, 0xff, 0xff, 0xff, 0xff].as_slice()).is_err());
    }

    #[test]
    fn a_frame_cut_short_is_an_error() {
        assert!(read(&mut [MARK, 1, 4, 0, 0, 0, b'x'].as_slice()).is_err());
    }
}
