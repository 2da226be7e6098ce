//! Text of others: command names, names of files, devices and virtual machines, lines of logs. Such a
//! name must not control the terminal that it is shown on.
//!
//! A sink for people escapes what it writes; JSON has its own escapes and stays exact.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Bytes of others as text. What is no UTF-8 becomes `\xNN` for each byte, so nothing is lost.
pub fn from_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Whether a character controls what a terminal shows, or the order in which it shows it.
fn controls(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            // Marks, embeddings, overrides and isolates of bidirectional text.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separator, byte order mark, interlinear annotations, tags.
            | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
        )
}

fn escape(char: char, to: &mut impl Write) -> fmt::Result {
    match char {
        '\n' => to.write_str("\\n"),
        '\r' => to.write_str("\\r"),
        '\t' => to.write_str("\\t"),
        '\0'..='\x7f' => write!(to, "\\x{:02x}", u32::from(char)),
        _ => write!(to, "\\u{{{:x}}}", u32::from(char)),
    }
}

/// One line of text for people: each character that controls a terminal is written as `\x1b`, `\n`
/// or `\u{202e}`. All other text stays as it is.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(controls) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    // A String takes everything.
    let _ = Line(&mut escaped).write_str(text);
    Cow::Owned(escaped)
}

/// The same for several lines: the ends of lines stay. Only for text in which every name went
/// through [`line()`] before.
pub fn lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(line).collect();
    lines.join("\n")
}

/// A name of others within a line of text for people.
pub struct Name<'a>(
    /// The name as it is.
    pub &'a str,
);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&line(self.0))
    }
}

/// Escapes what is written through it, as [`line()`] does.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if controls(char) {
                escape(char, &mut self.0)?;
            } else {
                self.0.write_char(char)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_controls_a_terminal_is_written_out() {
        for (raw, text) in [
            ("\x1b[2J", "\\x1b[2J"),
            ("a\nb\r\tc\x7f", "a\\nb\\r\\tc\\x7f"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("x\u{202e}txt", "x\\u{202e}txt"),
            ("\u{2066}\u{feff}\u{e0041}", "\\u{2066}\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(line(raw), text);
            assert_eq!(Name(raw).to_string(), text);
        }
    }

    #[test]
    fn ordinary_names_stay() {
        for name in [
            "qemu-system-x86_64",
            "Gäste 1–3",
            "虚拟机",
            "машина",
            "web\\x2d1",
            "👩\u{200d}💻",
        ] {
            assert!(matches!(line(name), Cow::Borrowed(same) if same == name));
            assert_eq!(from_bytes(name.as_bytes()), name);
        }
    }

    #[test]
    fn lines_keep_their_ends() {
        assert_eq!(lines("a\n\x1bb\n"), "a\n\\x1bb\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        assert_eq!(from_bytes(b"a\xff\xc3\xa4\xc3"), "a\\xff\u{e4}\\xc3");
        // Not the sink's work: JSON shows it exactly.
        assert_eq!(from_bytes(b"\x1b[31m"), "\x1b[31m");
    }

    proptest! {
        #[test]
        fn nothing_gets_through(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = from_bytes(&bytes);
            let shown = line(&text);
            prop_assert!(!shown.chars().any(controls), "{:?}", shown);
            let twice = line(&shown);
            prop_assert_eq!(&twice, &shown);
        }
    }
}
