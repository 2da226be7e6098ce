//! Bytes, as a growing file gives them, into lines.

/// A longer line is nothing that QEMU traces; its rest is passed over, bytes.
const LONGEST: usize = 1 << 16;

/// Puts lines together.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    /// The line is too long; it goes on to the next newline.
    overlong: bool,
}

impl Lines {
    /// Takes the next bytes, and hands on every line that they complete, without its end. A line
    /// that is too long is handed on cut short.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            if !self.overlong {
                let room = LONGEST - self.partial.len();
                self.partial
                    .extend_from_slice(&text[..text.len().min(room)]);
                self.overlong = text.len() > room;
            }
            if ends {
                take(self.partial.strip_suffix(b"\r").unwrap_or(&self.partial));
                self.partial.clear();
                self.overlong = false;
            }
        }
    }

    /// The end of the file: what has no newline yet is a line too.
    pub fn finish(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            take(&self.partial);
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| out.push(line.to_vec()));
        }
        lines.finish(|line| out.push(line.to_vec()));
        out
    }

    #[test]
    fn an_overlong_line_ends_at_its_newline() {
        let long = vec![b'x'; LONGEST + 10];
        let got = lines(&[&long, b"yy", b"y\nnext\n"]);
        assert_eq!((got.len(), got[0].len()), (2, LONGEST));
        assert_eq!(got[1], b"next");
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(text in "[a-c\n\r]{0,40}", cuts in prop::collection::vec(0usize..40, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(lines(&pieces), lines(&[bytes]));
        }
    }
}
