//! Descriptions of regions and of IRQs.

use super::verdict::{Table, Verdict};
use crate::event::{Answer, Errno};
use crate::model::{Evidence, Outside};
use crate::parse::region::Region;

/// A description of a region came back.
pub(in crate::correlate) struct AtQuery {
    pub(in crate::correlate) region: u32,
    /// What the answer says, or why there is none.
    pub(in crate::correlate) result: Result<Answer, Errno>,
    /// The size that the region had at first.
    pub(in crate::correlate) size: Option<u64>,
    /// The last description of it had a stale sparse capability too.
    pub(in crate::correlate) was_stale: bool,
    /// A cycle waits for this answer.
    pub(in crate::correlate) awaited: bool,
    /// The same answer came twice without a break: it is the driver's, not another thread's.
    pub(in crate::correlate) confirmed: bool,
}

impl AtQuery {
    fn description(&self) -> Option<&Region> {
        match &self.result {
            Ok(Answer::Region(region)) => Some(region),
            _ => None,
        }
    }
}

pub(in crate::correlate) const AT_QUERY: &Table<AtQuery> = &[
    malformed_region_info,
    missing_region,
    size_changed,
    stale_sparse,
];

fn malformed_region_info(at: &AtQuery) -> Option<Verdict> {
    let Ok(Answer::Malformed { reason, .. }) = &at.result else {
        return None;
    };
    let evidence = Evidence::MalformedRegionInfo {
        reason: reason.clone(),
        confirmed: at.confirmed,
    };
    Some(Verdict::of(at.region, evidence))
}

fn missing_region(at: &AtQuery) -> Option<Verdict> {
    let errno = *at.result.as_ref().err().filter(|_| at.awaited)?;
    let evidence = Evidence::OutsideMask {
        region: at.region,
        outside: Outside::Refused(errno),
    };
    Some(Verdict::of(at.region, evidence))
}

fn size_changed(at: &AtQuery) -> Option<Verdict> {
    let after = at.description()?.size;
    let before = at.size.filter(|before| *before != after)?;
    let evidence = Evidence::SizeChanged {
        before,
        after,
        confirmed: at.confirmed,
    };
    Some(Verdict::of(at.region, evidence))
}

fn stale_sparse(at: &AtQuery) -> Option<Verdict> {
    let stale = at.description()?.stale_sparse && !at.was_stale;
    stale.then(|| Verdict::of(at.region, Evidence::StaleSparse))
}

/// The description of an IRQ contradicts itself.
pub(in crate::correlate) fn malformed_irq_info(
    index: u32,
    reason: String,
    confirmed: bool,
) -> Verdict {
    Verdict::new(Evidence::MalformedIrqInfo {
        index,
        reason,
        confirmed,
    })
}
