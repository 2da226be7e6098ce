//! Facts that the remap tracker gets from other trackers or returns to them.

use crate::correlate::change::InFlightChange;
use crate::correlate::mapping::LiveMappings;
use crate::correlate::region::{Before, Regions};
use crate::correlate::rules::ChangeFacts;
use crate::event::{Answer, Errno};
use crate::model::TransitionRef;
use crate::parse::region::Area;

/// The areas that a process may map in a region whose trigger it has just acknowledged.
#[derive(Clone, Debug)]
pub(in crate::correlate) struct Acknowledged {
    pub(in crate::correlate) region: u32,
    pub(in crate::correlate) allowed: Vec<Area>,
    pub(in crate::correlate) pid: u32,
}

/// A description of a region that was asked for.
pub(in crate::correlate) struct Requery<'a> {
    pub(in crate::correlate) region: u32,
    pub(in crate::correlate) begin_ns: u64,
    /// The answer, or the errno.
    pub(in crate::correlate) result: Result<&'a Answer, Errno>,
    /// The facts about the region before that.
    pub(in crate::correlate) before: Before,
}

/// Facts of other trackers at a trigger.
pub(in crate::correlate) struct TriggerFacts<'a> {
    pub(in crate::correlate) regions: &'a Regions,
    pub(in crate::correlate) live: &'a LiveMappings,
    /// The state change that it is signalled in.
    pub(in crate::correlate) change: Option<InFlightChange>,
}

/// A state change that failed, or that does not return.
pub(in crate::correlate) struct ChangeEnd {
    pub(in crate::correlate) reference: TransitionRef,
    /// When it returned, or now (CLOCK_MONOTONIC ns).
    pub(in crate::correlate) end_ns: u64,
    /// Records were lost while it ran.
    pub(in crate::correlate) lossy: bool,
    /// No trigger is missing.
    pub(in crate::correlate) signals_complete: bool,
    pub(in crate::correlate) facts: ChangeFacts,
}
