//! Possible deadlocks.

use crate::correlate::rules::Verdict;

/// A state change that timed out with a trigger unread, before any thread was seen to read that
/// eventfd: the next reader decides whether it was a deadlock.
#[derive(Clone, Debug)]
pub(super) struct PendingDeadlock {
    pub(super) irq_index: u32,
    /// The thread that changed the state.
    pub(super) tid: u32,
    pub(super) end_ns: u64,
    pub(super) due_ns: u64,
    pub(super) deadlock: Option<Verdict>,
    pub(super) missing_ack: Option<Verdict>,
}

impl PendingDeadlock {
    pub(super) fn is_due(&self, now: u64) -> bool {
        self.due_ns <= now
    }
}
