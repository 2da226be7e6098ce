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
