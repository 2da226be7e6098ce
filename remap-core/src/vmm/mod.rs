//! A VMM's own words: its command line and its log, as text that somebody else has read.
//!
//! ```text
//! log file → lines → log (time, event, arguments) → checkpoint ─┬→ Output
//! events → calls (what the kernel did, from when to when) ──────┴→ downtime → Output
//! ```

pub mod calls;
pub mod checkpoint;
pub mod downtime;
pub mod lines;
pub mod log;
pub mod name;

/// What others wrote, as text that no terminal obeys.
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
