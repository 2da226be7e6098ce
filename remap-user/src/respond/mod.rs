//! The owner's side of a remap: requery, unmap, map, acknowledge.
//!
//! `plan` is pure; `apply` executes a plan on mappings; `handshake` is the IRQ's side; `serve` runs
//! them on the reactor; `drill` drives a device through its states while they answer.

pub mod ack;
pub mod apply;
mod discover;
pub mod drill;
pub mod drive;
pub mod error;
pub mod exercise;
pub mod handshake;
pub mod migrate;
pub mod plan;
pub mod progress;
pub mod report;
pub mod serve;
mod triggers;
pub mod verdict;
