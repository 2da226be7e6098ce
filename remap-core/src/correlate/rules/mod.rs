//! Every rule: what is wrong, and on what facts.
//!
//! A rule is one function from a moment's facts to a [`Verdict`]. The moments that have several
//! rules have a table of them in order of precedence: the first that holds is the only one that is
//! reported, and the cycles that it explains are not reported a second time. One cause gives one
//! finding. The table of all rules is in `model/rule`.

mod cycle;
mod description;
mod device_state;
mod state_change;
mod usage;
mod verdict;

pub(super) use cycle::{
    AT_ACK, AT_CYCLE_END, AT_READ, AT_TRIGGER, AtAck, AtCycleEnd, AtRead, AtTrigger, Misread,
    forgotten_trigger,
};
pub(super) use description::{AT_QUERY, AtQuery, malformed_irq_info};
pub(super) use device_state::{AT_STATE, AtState, confirmed, data_left, state_unknown};
pub(super) use state_change::{
    AT_CHANGE_END, AtChangeEnd, Awaited, ChangeFacts, deadlock, impossible_change, is_timeout,
    missing_ack,
};
pub(super) use usage::{
    AtRefusal, access_refused, dma_mapped, never_read, never_returned, request_ignored,
};
pub(super) use verdict::{Verdict, judge};

#[cfg(test)]
mod tests;
