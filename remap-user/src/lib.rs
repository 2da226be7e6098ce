//! remap as a library: what the `remap` command and the lab tests share.

pub mod cli;
pub mod cmd;
pub mod exit;
pub mod kernel;
pub mod live;
pub mod respond;
pub mod vfio;
