//! A trigger and its answer: what the driver names, what user space reads and acknowledges.

use super::verdict::{Table, Verdict};
use crate::correlate::areas;
use crate::model::{Evidence, Outside};
use crate::parse::irq::{Encoding, RemapIrq};
use crate::parse::region::Area;

/// The driver names a region.
pub(in crate::correlate) struct AtTrigger {
    pub(in crate::correlate) remap: RemapIrq,
    pub(in crate::correlate) bit: u32,
    pub(in crate::correlate) region: u32,
}

pub(in crate::correlate) const AT_TRIGGER: &Table<AtTrigger> = &[outside_mask];

fn outside_mask(at: &AtTrigger) -> Option<Verdict> {
    let bit = 1_u64.checked_shl(at.bit).unwrap_or(0);
    let mask = at.remap.mask.filter(|mask| mask & bit == 0)?;
    let outside = Outside::Mask {
        bit: at.bit,
        mask,
        base: at.remap.base,
    };
    let region = at.region;
    let evidence = Evidence::OutsideMask { region, outside };
    Some(Verdict::of(region, evidence))
}

/// A value that was read though the signals do not add up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::correlate) struct Misread {
    /// What user space got.
    pub(in crate::correlate) value: u64,
    /// The OR of the addends: what it should have got.
    pub(in crate::correlate) or: u64,
    /// The triggers that the read consumed, oldest first.
    pub(in crate::correlate) ids: Vec<u64>,
}

/// User space reads a bitmap, and the value is not what the driver named.
pub(in crate::correlate) struct AtRead {
    pub(in crate::correlate) misread: Misread,
    /// The value contains what user space wrote itself.
    pub(in crate::correlate) own: bool,
    /// The first region of the IRQ.
    pub(in crate::correlate) base: u32,
}

pub(in crate::correlate) const AT_READ: &Table<AtRead> = &[aliased_trigger, self_trigger];

/// The region of the lowest bit of `value`.
fn lowest(base: u32, value: u64) -> Option<u32> {
    (value != 0).then(|| base.saturating_add(value.trailing_zeros()))
}

fn aliased_trigger(at: &AtRead) -> Option<Verdict> {
    if at.own {
        return None;
    }
    let Misread { value, or, ids } = &at.misread;
    Some(Verdict {
        region: lowest(at.base, if *or == 0 { *value } else { *or }),
        evidence: Evidence::AliasedTrigger {
            value: *value,
            or: *or,
            signals: ids.len(),
        },
    })
}

fn self_trigger(at: &AtRead) -> Option<Verdict> {
    let &Misread { value, or, .. } = &at.misread;
    at.own.then(|| Verdict {
        region: lowest(at.base, value.wrapping_sub(or)),
        evidence: Evidence::SelfTrigger { value, or },
    })
}

/// User space acknowledges one cycle.
pub(in crate::correlate) struct AtAck {
    pub(in crate::correlate) region: u32,
    pub(in crate::correlate) ack_ns: u64,
    pub(in crate::correlate) trigger_ns: u64,
    /// When the region was signalled again.
    pub(in crate::correlate) again_ns: Option<u64>,
    /// Whether the protocol forbids that: a bitmap, or an IRQ that masks itself.
    pub(in crate::correlate) holds_back: bool,
    pub(in crate::correlate) requery_ns: Option<u64>,
    /// What was mapped at the ack and is no longer allowed.
    pub(in crate::correlate) forbidden: Vec<Area>,
}

pub(in crate::correlate) const AT_ACK: &Table<AtAck> =
    &[trigger_before_ack, ack_before_requery, ack_with_mapping];

fn trigger_before_ack(at: &AtAck) -> Option<Verdict> {
    let again_ns = at.again_ns.filter(|ns| at.holds_back && *ns <= at.ack_ns)?;
    let evidence = Evidence::TriggerBeforeAck {
        after_trigger_ns: again_ns.saturating_sub(at.trigger_ns),
        before_ack_ns: at.ack_ns - again_ns,
    };
    Some(Verdict::of(at.region, evidence))
}

fn ack_before_requery(at: &AtAck) -> Option<Verdict> {
    if at.requery_ns.is_some_and(|ns| ns <= at.ack_ns) {
        return None;
    }
    let evidence = Evidence::AckBeforeRequery {
        after_trigger_ns: at.ack_ns.saturating_sub(at.trigger_ns),
    };
    Some(Verdict::of(at.region, evidence))
}

fn ack_with_mapping(at: &AtAck) -> Option<Verdict> {
    let evidence = Evidence::AckWithMapping {
        bytes: areas::total(&at.forbidden),
        offset: at.forbidden.first()?.offset,
    };
    Some(Verdict::of(at.region, evidence))
}

/// Every stage of a cycle was seen.
pub(in crate::correlate) struct AtCycleEnd {
    pub(in crate::correlate) region: u32,
    /// Both descriptions are known and allow the same.
    pub(in crate::correlate) unchanged: bool,
    /// The earlier description is from before any state change that could have changed it.
    pub(in crate::correlate) comparable: bool,
}

pub(in crate::correlate) const AT_CYCLE_END: &Table<AtCycleEnd> = &[named_unchanged];

fn named_unchanged(at: &AtCycleEnd) -> Option<Verdict> {
    let holds = at.unchanged && at.comparable;
    holds.then(|| Verdict::of(at.region, Evidence::NamedUnchanged))
}

/// A trigger outside of state changes was not acknowledged when the trace ended, `since_ns` later;
/// `read`: its eventfd was.
pub(in crate::correlate) fn forgotten_trigger(
    region: Option<u32>,
    encoding: Encoding,
    read: bool,
    since_ns: u64,
) -> Verdict {
    Verdict {
        region,
        evidence: Evidence::ForgottenTrigger {
            since_ns,
            read,
            encoding,
        },
    }
}
