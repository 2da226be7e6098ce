//! The library of the `remap` command; the lab tests use it too.

pub mod cli;
pub mod cmd;
pub mod confine;
pub mod exit;
mod http;
pub mod kernel;
pub mod live;
pub mod metrics;
pub mod otlp;
pub mod respond;
pub mod threads;
pub mod tracepoint;
pub mod vfio;
