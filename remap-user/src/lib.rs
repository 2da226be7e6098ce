//! remap as a library: what the `remap` command and the lab tests share.

pub mod event;
pub mod vfio;
