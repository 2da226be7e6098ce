//! Mappings of a device's regions, zaps, and the page faults that populate again.

mod cause;
mod live;
mod open_zap;
mod range;
mod zaps;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use live::LiveMappings;

use super::areas::RegionAreas;
use super::moment::Moment;
use super::report::Reporter;
use super::rules::{AtRefusal, access_refused};
use crate::event::{DmaKind, Errno, Fault, FaultOutcome, Origin, Place, ZapStep};
use crate::model::{MappedHow, MappingStats, TransitionRef, ZapEnd};
use open_zap::Refusal;
use zaps::OpenZaps;

/// The mappings of one device.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    live: LiveMappings,
    /// Zaps that are not over.
    zaps: OpenZaps,
    /// Regions whose last access was refused.
    refused: BTreeSet<u32>,
}

impl Mappings {
    /// The live mappings.
    pub(super) fn live(&self) -> &LiveMappings {
        &self.live
    }

    /// How much is stored ([`super::room`]).
    pub(super) fn room(&self) -> usize {
        self.live.room() + self.zaps.room() + self.refused.len()
    }

    /// Whether anything is open that ends without a further event.
    pub(super) fn is_quiet(&self) -> bool {
        self.zaps.is_empty()
    }

    /// A part of a region is mapped.
    pub(super) fn map(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        place: Place,
        origin: Origin,
    ) {
        self.live
            .map(at.task.pid, place.address, place.region, place.area);
        out.mapped(at, place, (MappedHow::Map, origin), Ok(()));
        let stats = out.mapping_stats(place.region);
        match origin {
            Origin::Seen => stats.maps += 1,
            _ => stats.found += 1,
        }
    }

    /// A mapping was refused.
    pub(super) fn map_refused(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        place: Place,
        errno: Errno,
    ) {
        let how = (MappedHow::Map, Origin::Seen);
        out.mapped(at, place, how, Err(errno));
        out.mapping_stats(place.region).refused_maps += 1;
    }

    /// A mapping, or a part of one, was removed.
    pub(super) fn unmap(&mut self, out: &mut Reporter<'_>, at: Moment<'_>, place: Place) {
        self.live.unmap(at.task.pid, place.address, place.area.size);
        let how = (MappedHow::Unmap, Origin::Seen);
        out.mapped(at, place, how, Ok(()));
        out.mapping_stats(place.region).unmaps += 1;
    }

    /// A part of a region is mapped for DMA.
    pub(super) fn dma_mapped(out: &mut Reporter<'_>, at: Moment<'_>, place: Place) {
        let how = MappedHow::DmaMap;
        out.mapped(at, place, (how, Origin::Seen), Ok(()));
        out.mapping_stats(place.region).dma_maps += 1;
    }

    /// A part of a region is not mapped for DMA any more.
    pub(super) fn dma_unmapped(
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        place: Place,
        kind: DmaKind,
    ) {
        let how = MappedHow::from(kind);
        out.mapped(at, place, (how, Origin::Seen), Ok(()));
        out.mapping_stats(place.region).dma_unmaps += 1;
    }

    /// A range is zapped in a call. `dma`: the ranges that are mapped for DMA; `transition`: the
    /// state change that it is a part of. Returns whether this begins a zap, or is a further step.
    pub(super) fn zap(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        step: &ZapStep,
        dma: &RegionAreas,
        transition: Option<TransitionRef>,
    ) -> bool {
        self.zaps.step(out, at, step, (&self.live, dma), transition)
    }

    /// A page fault in a region returned; `trapped`: the region's last description does not allow a
    /// mapping there.
    pub(super) fn fault(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        fault: &Fault,
        trapped: bool,
    ) {
        count(out.mapping_stats(fault.region), fault);
        let first = fault.outcome == FaultOutcome::Refused && self.refused.insert(fault.region);
        let (reported, zap) = match self.zaps.fault(at, fault) {
            Refusal::Explained { cause, since_ns } => (true, Some((cause, since_ns))),
            Refusal::OtherCause => (first, None),
            Refusal::None | Refusal::Reported => (false, None),
        };
        if reported {
            let refusal = AtRefusal {
                region: fault.region,
                offset: fault.offset,
                zap,
                trapped,
            };
            out.finding(at.ns, access_refused(&refusal));
        }
        if fault.outcome == FaultOutcome::Populated {
            self.refused.remove(&fault.region);
        }
        self.zaps.end_complete(out, at.ns);
    }

    /// The call of `tid` returned: later zaps on this thread belong to another call.
    pub(super) fn call_returned(&mut self, tid: u32) {
        self.zaps.call_returned(tid);
    }

    /// The wakeup eventfd of a low-power entry was signalled.
    pub(super) fn woken(&mut self, now: u64) {
        self.zaps.woken(now);
    }

    /// Ends the zaps after which no page was populated for long.
    pub(super) fn settle(&mut self, out: &mut Reporter<'_>, now: u64) {
        self.zaps.end_quiet(out, now);
    }

    /// Records were lost: a listed mapping may have been removed, and a fault may be missing.
    pub(super) fn lose(&mut self, out: &mut Reporter<'_>, now: u64) {
        self.lose_faults(out, now);
        self.live.lose();
    }

    /// Faults may have been lost: what is populated again is not known.
    pub(super) fn lose_faults(&mut self, out: &mut Reporter<'_>, now: u64) {
        self.zaps.end_all(out, now, ZapEnd::Lost);
    }

    /// The device was closed, or the trace ended.
    pub(super) fn close(&mut self, out: &mut Reporter<'_>, now: u64, end: ZapEnd) {
        self.zaps.end_all(out, now, end);
        *self = Self::default();
    }
}

fn count(stats: &mut MappingStats, fault: &Fault) {
    match fault.outcome {
        FaultOutcome::Populated => match fault.bytes {
            Some(bytes) if has_size(&stats.pages, bytes) => {
                *stats.pages.entry(bytes).or_default() += 1;
            }
            _ => stats.unsized_faults += 1,
        },
        FaultOutcome::Refused => stats.refused_faults += 1,
        FaultOutcome::Fallback | FaultOutcome::RefusedForDma | FaultOutcome::Other => {
            stats.other_faults += 1;
        }
    }
}

/// So many sizes of pages are distinguished; an architecture has a few.
const SIZES: usize = 32;

/// Whether a size has a count, or room for one.
fn has_size(pages: &BTreeMap<u64, u64>, bytes: u64) -> bool {
    pages.len() < SIZES || pages.contains_key(&bytes)
}
