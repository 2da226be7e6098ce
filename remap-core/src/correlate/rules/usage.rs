//! Interrupts that are not read, accesses that are refused, mappings for DMA that outlive the
//! process's own, calls that do not return.

use super::verdict::Verdict;
use crate::correlate::areas;
use crate::model::{Cause, DmaLoss, Evidence, InFlightCall, IrqName, Refused};
use crate::parse::region::Area;

/// Signals that were not read when the trace ends at `now`: of which sub-indexes, and since when.
pub(in crate::correlate) fn never_read(irq: IrqName, vectors: &[(u32, u64)], now: u64) -> Verdict {
    let first_ns = vectors.iter().map(|(_, ns)| *ns).min().unwrap_or(now);
    Verdict::new(Evidence::NeverRead {
        irq,
        vectors: vectors.iter().map(|(sub, _)| *sub).collect(),
        since_ns: now.saturating_sub(first_ns),
    })
}

/// The kernel asked for the device back at `ns`, and it is open when the trace ends at `now`;
/// `signalled`: whether by its REQ eventfd, if that is known.
pub(in crate::correlate) fn request_ignored(ns: u64, now: u64, signalled: Option<bool>) -> Verdict {
    let since_ns = now.saturating_sub(ns);
    Verdict::new(Evidence::RequestIgnored {
        since_ns,
        signalled,
    })
}

/// An access to a mapped region was refused.
pub(in crate::correlate) struct AtRefusal {
    pub(in crate::correlate) region: u32,
    pub(in crate::correlate) offset: u64,
    /// What took the pages out before, and how long ago, ns.
    pub(in crate::correlate) zap: Option<(Cause, u64)>,
    /// The region's last description does not allow a mapping there.
    pub(in crate::correlate) trapped: bool,
}

pub(in crate::correlate) fn access_refused(at: &AtRefusal) -> Verdict {
    let why = match at.zap {
        Some((cause, since_ns)) => Refused::Zapped { cause, since_ns },
        None if at.trapped => Refused::Trapped,
        None => Refused::Unexplained,
    };
    let offset = at.offset;
    Verdict::of(at.region, Evidence::AccessRefused { offset, why })
}

/// A region lost its mmap while the same part is mapped for DMA.
pub(in crate::correlate) fn dma_mapped(region: u32, areas: &[Area], loss: DmaLoss) -> Verdict {
    let evidence = Evidence::DmaMapped {
        bytes: areas::total(areas),
        offset: areas.first().map_or(0, |area| area.offset),
        loss,
    };
    Verdict::of(region, evidence)
}

/// A call that was found in flight has not returned when the trace ends at `now`.
pub(in crate::correlate) fn never_returned(call: &InFlightCall, now: u64) -> Verdict {
    Verdict::new(Evidence::NeverReturned {
        call: Box::new(call.clone()),
        since_ns: now.saturating_sub(call.time_ns),
    })
}
