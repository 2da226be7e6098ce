//! Bytes of a growing file → lines.

/// The longest line, bytes. QEMU's trace events are shorter; the rest of a longer line is skipped.
const LONGEST: usize = 1 << 16;

/// Joins pieces of text to lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// The line so far, at most [`LONGEST`] bytes.
    partial: Vec<u8>,
}

impl Lines {
    /// Adds the next bytes, and passes each line that they complete to `take`, without its line
    /// end. A line that is too long is cut.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = LONGEST - self.partial.len();
            self.partial
                .extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                take(self.partial.strip_suffix(b"\r").unwrap_or(&self.partial));
                self.partial.clear();
            }
        }
    }

    /// The end of the file: a rest without a newline is a line too.
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

    #[test]
    fn a_line_ends_at_a_newline_or_at_the_end_of_the_file() {
        assert_eq!(lines(&[b"a\r\n\nb"]), [&b"a"[..], b"", b"b"]);
        assert_eq!(lines(&[b"a", b"b\n"]), [b"ab"]);
        assert!(lines(&[b""]).is_empty());
    }

    #[test]
    fn a_line_of_the_greatest_length_is_complete() {
        let longest = vec![b'x'; 65_536];
        let got = lines(&[&longest, b"\n", b"y\n"]);
        assert_eq!(got, [longest.clone(), b"y".to_vec()]);
        let got = lines(&[&longest[..65_530], b"yyyyyyyy\n"]);
        assert_eq!(got[0].len(), 65_536);
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
