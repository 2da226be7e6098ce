//! The messages between the lab's host side (xtask) and its guest (the init):
//! the host hands over one [`handover::Run`], the guest answers with
//! [`frame::Frame`]s that end in a [`handover::Verdict`].

pub mod frame;
pub mod handover;
