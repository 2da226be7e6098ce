//! What remap does when a driver asks for a remap: query again, unmap, map, acknowledge.
//!
//! `plan` decides and is pure; `apply` does it to mappings; `handshake` is the IRQ's side, `serve`
//! puts them on the reactor, and `drill` drives a device through its states while they answer.

pub mod ack;
pub mod apply;
mod discover;
pub mod drill;
pub mod drive;
pub mod error;
pub mod handshake;
pub mod migrate;
pub mod plan;
pub mod progress;
pub mod report;
pub mod serve;
mod triggers;
pub mod verdict;
