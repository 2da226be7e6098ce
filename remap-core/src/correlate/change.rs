//! State changes, as the trackers beside the migration see them.

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

/// When the driver could have waited for user space to answer one trigger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) trigger_ns: u64,
    /// `None`: what it waited for never came.
    pub(super) until_ns: Option<u64>,
}
