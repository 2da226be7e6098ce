//! State changes, as values for the other trackers.

use crate::event::Errno;
use crate::model::TransitionRef;

/// A state change in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlightChange {
    pub(super) reference: TransitionRef,
    /// Records were lost while it ran.
    pub(super) lossy: bool,
}

/// A state change that returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReturnedChange {
    pub(super) reference: TransitionRef,
    /// The thread that asked for it.
    pub(super) tid: u32,
    /// When it returned (CLOCK_MONOTONIC ns).
    pub(super) end_ns: u64,
    pub(super) result: Result<(), Errno>,
}

/// The time in which the driver can have waited for the answer to one trigger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) trigger_ns: u64,
    /// `None`: no answer came.
    pub(super) until_ns: Option<u64>,
}
