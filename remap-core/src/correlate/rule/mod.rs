//! Rules: what is wrong, on what evidence.
//!
//! One rule is one function from a moment's evidence to a sentence. Each moment has a table of its
//! rules in order of precedence; the first that holds is the only one that is reported, and the
//! cycles that it explains are not blamed a second time: one cause, one finding.

mod change;
mod state;
mod usage;

pub(super) use change::{
    AT_CHANGE_END, AtChangeEnd, Awaited, deadlock, impossible, is_timeout, missing_ack,
};
pub(super) use state::{AT_STATE, AtState, data_left, state_unknown};
pub(super) use usage::{AtRefusal, access_refused, dma_mapped, never_read, request_ignored};

use super::counter::{Misread, Reading};
use crate::event::{Answer, Errno};
use crate::model::{Ns, Rule};
use crate::parse::irq::RemapIrq;
use crate::parse::region::{Area, Region};

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) region: Option<u32>,
    pub(super) text: String,
}

fn found(region: Option<u32>, text: String) -> Option<Found> {
    Some(Found { region, text })
}

/// The rules of one moment, in order of precedence.
pub(super) type Table<Evidence> = [(Rule, fn(&Evidence) -> Option<Found>)];

/// The first rule of `table` that holds.
pub(super) fn judge<Evidence>(
    table: &Table<Evidence>,
    evidence: &Evidence,
) -> Option<(Rule, Found)> {
    table
        .iter()
        .find_map(|(rule, holds)| Some((*rule, holds(evidence)?)))
}

/// The driver names a region.
pub(super) struct AtTrigger {
    pub(super) remap: RemapIrq,
    pub(super) bit: u32,
    pub(super) region: u32,
}

pub(super) const AT_TRIGGER: &Table<AtTrigger> = &[(Rule::OutsideMask, outside_mask)];

fn outside_mask(at: &AtTrigger) -> Option<Found> {
    let bit = 1_u64.checked_shl(at.bit).unwrap_or(0);
    let mask = match at.remap.mask {
        Some(mask) if mask & bit == 0 => mask,
        _ => return None,
    };
    let text = format!(
        "the driver named region {} (bit {}), and its mask {mask:#x} from region {} does not hold it",
        at.region, at.bit, at.remap.base
    );
    found(Some(at.region), text)
}

/// User space reads a bitmap.
pub(super) struct AtRead {
    pub(super) reading: Reading,
    pub(super) base: u32,
}

pub(super) const AT_READ: &Table<AtRead> = &[
    (Rule::AliasedTrigger, aliased_trigger),
    (Rule::SelfTrigger, self_trigger),
];

/// The region of the lowest bit of `value`.
fn lowest(base: u32, value: u64) -> Option<u32> {
    (value != 0).then(|| base.saturating_add(value.trailing_zeros()))
}

fn aliased_trigger(at: &AtRead) -> Option<Found> {
    let misread = match &at.reading {
        Reading::Aliased(misread) | Reading::Doubtful(misread) => misread,
        Reading::Clean { .. } | Reading::Own(_) => return None,
    };
    let Misread { value, or, ids } = misread;
    let text = format!(
        "a read got {value:#x} where the {} signals since the last read name {or:#x}: the counter \
         is a sum, not an OR",
        ids.len()
    );
    found(lowest(at.base, if *or == 0 { *value } else { *or }), text)
}

fn self_trigger(at: &AtRead) -> Option<Found> {
    let Reading::Own(Misread { value, or, .. }) = &at.reading else {
        return None;
    };
    let text = format!(
        "a read got {value:#x} where the driver signalled {or:#x}: the rest is what user space \
         wrote to the eventfd itself"
    );
    found(lowest(at.base, value.wrapping_sub(*or)), text)
}

/// A description of a region came back.
pub(super) struct AtQuery {
    pub(super) region: u32,
    /// What the answer says, or why there is none.
    pub(super) result: Result<Answer, Errno>,
    /// The size that the region had at first.
    pub(super) size: Option<u64>,
    /// The last description of it had a stale sparse capability too.
    pub(super) was_stale: bool,
    /// A cycle waits for this answer.
    pub(super) awaited: bool,
}

impl AtQuery {
    fn description(&self) -> Option<&Region> {
        match &self.result {
            Ok(Answer::Region(region)) => Some(region),
            _ => None,
        }
    }
}

pub(super) const AT_QUERY: &Table<AtQuery> = &[
    (Rule::MalformedRegionInfo, malformed_region_info),
    (Rule::OutsideMask, missing_region),
    (Rule::SizeChanged, size_changed),
    (Rule::StaleSparse, stale_sparse),
];

fn malformed_region_info(at: &AtQuery) -> Option<Found> {
    let Ok(Answer::Malformed(reason)) = &at.result else {
        return None;
    };
    found(Some(at.region), reason.clone())
}

fn missing_region(at: &AtQuery) -> Option<Found> {
    let errno = at.result.as_ref().err().filter(|_| at.awaited)?;
    let text = format!(
        "the driver named region {}, and its description is refused with {}: there is no such region",
        at.region, errno
    );
    found(Some(at.region), text)
}

fn size_changed(at: &AtQuery) -> Option<Found> {
    let size = at.description()?.size;
    let before = at.size.filter(|before| *before != size)?;
    let text = format!("the region's size went from {before:#x} to {size:#x} bytes");
    found(Some(at.region), text)
}

fn stale_sparse(at: &AtQuery) -> Option<Found> {
    at.description()
        .filter(|region| region.stale_sparse && !at.was_stale)?;
    let text = "the region may not be mapped, and its sparse mmap capability is still there";
    found(Some(at.region), text.to_owned())
}

/// User space acknowledges one cycle.
pub(super) struct AtAck {
    pub(super) region: u32,
    pub(super) ack_ns: u64,
    pub(super) trigger_ns: u64,
    /// When the region was signalled again.
    pub(super) again_ns: Option<u64>,
    /// Whether the protocol forbids that: a bitmap, or an IRQ that masks itself.
    pub(super) holds_back: bool,
    pub(super) requery_ns: Option<u64>,
    /// What was mapped at the ack and is no longer allowed.
    pub(super) forbidden: Vec<Area>,
}

pub(super) const AT_ACK: &Table<AtAck> = &[
    (Rule::TriggerBeforeAck, trigger_before_ack),
    (Rule::AckBeforeRequery, ack_before_requery),
    (Rule::AckWithMapping, ack_with_mapping),
];

fn trigger_before_ack(at: &AtAck) -> Option<Found> {
    let again_ns = at.again_ns.filter(|ns| at.holds_back && *ns <= at.ack_ns)?;
    let text = format!(
        "the driver signalled the region again {} after the first signal and {} before the ack",
        Ns(again_ns.saturating_sub(at.trigger_ns)),
        Ns(at.ack_ns - again_ns)
    );
    found(Some(at.region), text)
}

fn ack_before_requery(at: &AtAck) -> Option<Found> {
    if at.requery_ns.is_some_and(|ns| ns <= at.ack_ns) {
        return None;
    }
    let text = format!(
        "the ack came {} after the trigger, and nobody had asked for the region's description",
        Ns(at.ack_ns.saturating_sub(at.trigger_ns))
    );
    found(Some(at.region), text)
}

fn ack_with_mapping(at: &AtAck) -> Option<Found> {
    let first = at.forbidden.first()?;
    let bytes: u64 = at
        .forbidden
        .iter()
        .fold(0, |sum, area| sum.saturating_add(area.size));
    let text = format!(
        "at the ack {bytes:#x} bytes from {:#x} on were still mapped, and the region no longer \
         allows it",
        first.offset
    );
    found(Some(at.region), text)
}

/// Every stage of a cycle was seen.
pub(super) struct AtCycleEnd {
    pub(super) region: u32,
    /// Both descriptions are known and allow the same.
    pub(super) unchanged: bool,
    /// The earlier description is from before any state change that could have changed it.
    pub(super) comparable: bool,
}

pub(super) const AT_CYCLE_END: &Table<AtCycleEnd> = &[(Rule::NamedUnchanged, named_unchanged)];

fn named_unchanged(at: &AtCycleEnd) -> Option<Found> {
    if !at.unchanged || !at.comparable {
        return None;
    }
    let text = "the driver named the region, and its flags and areas are what they were";
    found(Some(at.region), text.to_owned())
}
