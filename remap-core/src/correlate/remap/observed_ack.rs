//! An acknowledgement, and its effect on a cycle.

use std::ops::Range;

use super::open_cycle::OpenCycle;
use crate::correlate::moment::Moment;
use crate::model::{Ack, ReleasedSource};

/// One sub-index.
pub(super) fn one(sub: u32) -> Range<u32> {
    sub..sub.saturating_add(1)
}

/// An acknowledgement that was observed.
pub(super) struct ObservedAck<'a> {
    pub(super) index: u32,
    /// Its sub-indexes; `None` for all.
    pub(super) subs: Option<Range<u32>>,
    pub(super) ack: Ack,
    pub(super) begin_ns: u64,
    /// When the call that carried it returned, and its thread.
    pub(super) at: Moment<'a>,
}

impl ObservedAck<'_> {
    /// Whether it can be the ack of a cycle's trigger on the sub-index `sub`.
    pub(super) fn means(&self, cycle: &OpenCycle, sub: u32) -> bool {
        // A state change that failed before it does not wait any more.
        let late = matches!(cycle.change_end, Some((end_ns, Err(_))) if self.begin_ns > end_ns);
        let of_subs = self.subs.as_ref().is_none_or(|subs| subs.contains(&sub));
        let trigger = &cycle.trigger;
        let signalled = trigger.irq_index == self.index && trigger.ns <= self.begin_ns;
        signalled && of_subs && !late && !cycle.acked()
    }

    /// When the driver continues because of it, if that is known yet.
    pub(super) fn release(&self, cycle: &OpenCycle) -> Option<(u64, ReleasedSource)> {
        match (cycle.awaited, cycle.change_end) {
            // The state change still runs, or has failed: its end decides.
            (true, None) | (_, Some((_, Err(_)))) => None,
            // It was in flight at the ack, and its return was recorded before the ack's.
            (true, Some((end_ns, Ok(())))) if self.begin_ns <= end_ns => {
                Some((end_ns, ReleasedSource::StateChange))
            }
            _ => Some((self.at.ns, ReleasedSource::AckReturn)),
        }
    }
}
