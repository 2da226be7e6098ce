//! What a VMM reports about itself: its command line and its log, as text that the caller has read.
//!
//! ```text
//! log file → lines → log (time, event, arguments) → checkpoint ─┬→ Output
//! events → calls (each call with its begin and end) ──────┴→ downtime → Output
//! ```

pub mod calls;
pub mod checkpoint;
pub mod downtime;
pub mod lines;
pub mod log;
pub mod name;

/// Text of another program, with each control character replaced so that a terminal is safe.
pub fn printable(bytes: &[u8]) -> String {
    let replace = |char: char| match char.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => char,
    };
    String::from_utf8_lossy(bytes)
        .chars()
        .map(replace)
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_control_characters_are_replaced() {
        assert_eq!(super::printable(b"a \xc3\xa4\n"), "a \u{e4}\u{fffd}");
    }
}
