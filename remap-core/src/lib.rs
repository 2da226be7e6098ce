#![forbid(unsafe_code)]
//! What remap's records mean: bytes → events → cycles, state changes, findings → lines.
//!
//! Pure: no kernel, no file, no clock, no socket. What was observed comes in as bytes or values,
//! what is to be shown goes out to a writer.

pub mod account;
pub mod c_header;
pub mod check;
pub mod correlate;
pub mod decode;
pub mod errno;
pub mod event;
pub mod export;
mod json;
pub mod metrics;
pub mod model;
pub mod order;
pub mod parse;
pub mod perfdata;
pub mod pipeline;
pub mod printable;
pub mod replay;
pub mod sink;
pub mod vmm;
mod word;
