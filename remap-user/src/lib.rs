//! remap as a library: what the `remap` command and the lab tests share.

pub mod cli;
pub mod cmd;
pub mod correlate;
pub mod decode;
pub mod errno;
pub mod event;
pub mod exit;
pub mod kernel;
pub mod order;
pub mod pipeline;
pub mod probe;
pub mod respond;
pub mod sink;
pub mod source;
pub mod vfio;
pub mod vmm;
