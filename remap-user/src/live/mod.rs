//! The live side of a trace: hooks in the running kernel, the ring that they write to, and the
//! session that feeds the pipeline from it.
//!
//! Imports go one way: `session` → `probes` → `hooks`, `walk`, `account` → `error`. Only this
//! module uses bpf(2); it also reads `/proc` for processes and follows QEMU's logs.

pub mod account;
pub mod activities;
mod attaching;
pub mod clock;
mod controls;
pub mod error;
pub mod hooks;
pub mod in_flight;
mod module_events;
mod modules;
pub mod pin;
pub mod probes;
pub mod process;
pub mod qemu_log;
pub mod rights;
mod ring;
pub mod self_test;
pub mod session;
pub mod silence;
mod turn;
pub mod walk;
mod watermark;
