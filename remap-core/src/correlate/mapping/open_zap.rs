//! A zap that is not over: the steps of its call, and the faults that populate again.

use std::collections::{BTreeMap, BTreeSet};

use super::has_size;
use super::live::LiveMappings;
use crate::correlate::areas::{self, RegionAreas};
use crate::correlate::moment::Moment;
use crate::correlate::span::Cover;
use crate::event::{Fault, FaultOutcome, ZapStep};
use crate::model::{Cause, CauseKind, TransitionRef, Zap, ZapEnd, ZappedRegion};
use crate::parse::region::Area;

/// The mapped ranges of a device at the time of a zap.
pub(super) struct MappedNow<'a> {
    pub(super) live: &'a LiveMappings,
    /// For DMA.
    pub(super) dma: &'a RegionAreas,
    /// Whether every DMA mapping was observed.
    pub(super) dma_complete: bool,
}

/// So many populated places are distinguished; a zap with more ends when no more are populated.
const PLACES: usize = 65_536;

/// So many different ranges are zapped in one zap: one for each mapping on 6.1. A further one begins
/// another zap.
const STEPS: usize = 256;

/// A zap that is not over.
#[derive(Clone, Debug)]
pub(super) struct OpenZap {
    zap: Zap,
    steps: Vec<ZapStep>,
    regions: BTreeMap<u32, ZappedRegion>,
    faults: Cover,
    /// What was populated, by process and address: two threads may populate the same.
    touched: BTreeSet<(u32, u64)>,
    touched_bytes: u64,
    /// The call that it happens in has not returned.
    calling: bool,
    last_step_ns: u64,
    /// A refused access was reported.
    refusal_reported: bool,
}

impl OpenZap {
    /// How much is stored ([`crate::correlate::room`]).
    pub(super) fn room(&self) -> usize {
        let places = self.touched.len() / 4 + self.faults.room();
        128 + self.steps.len() / 2 + 2 * self.regions.len() + places
    }

    pub(super) fn new(
        id: u64,
        device: String,
        at: Moment<'_>,
        cause: Cause,
        transition: Option<TransitionRef>,
    ) -> Self {
        Self {
            zap: Zap {
                id,
                device,
                cause,
                time_ns: at.ns,
                steps: 0,
                task: at.task.clone(),
                regions: Vec::new(),
                transition,
                first_ns: None,
                last_ns: None,
                fault_ns: 0,
                refused_ns: None,
                wakeup_ns: None,
                end_ns: at.ns,
                end: ZapEnd::TraceEnd,
            },
            steps: Vec::new(),
            regions: BTreeMap::new(),
            faults: Cover::default(),
            touched: BTreeSet::new(),
            touched_bytes: 0,
            calling: true,
            last_step_ns: at.ns,
            refusal_reported: false,
        }
    }

    /// Whether a zap at `at` is a further step of the same call, at most `settle_ns` later.
    pub(super) fn continues(&self, at: Moment<'_>, cause: Cause, settle_ns: u64) -> bool {
        let same = self.zap.cause == cause && self.zap.task == *at.task;
        let soon = at.ns.saturating_sub(self.last_step_ns) <= settle_ns;
        let room = self.steps.len() < STEPS;
        same && soon && room && self.calling && self.zap.first_ns.is_none()
    }

    /// One step: a range is zapped.
    pub(super) fn step(&mut self, now: u64, step: &ZapStep, mapped: &MappedNow<'_>) {
        if !self.steps.contains(step) {
            self.steps.push(step.clone());
        }
        self.last_step_ns = now;
        self.zap.steps += 1;
        let for_dma = mapped.dma.keys().copied();
        for region in mapped.live.regions().into_iter().chain(for_dma) {
            let zapped = areas::normalise(&self.areas(region));
            let mapped_bytes = mapped.live.overlap(region, &zapped);
            let dma = mapped.dma.get(&region).map_or(&[][..], Vec::as_slice);
            let dma_bytes = areas::total(&areas::common(dma, &zapped));
            if mapped_bytes > 0 || dma_bytes > 0 {
                let region = self.region(region);
                region.mapped_bytes = mapped_bytes;
                region.dma_bytes = mapped.dma_complete.then_some(dma_bytes);
            }
        }
    }

    /// A fault in one of its regions returned. Returns whether the zap explains a refused access.
    pub(super) fn fault(&mut self, at: Moment<'_>, fault: &Fault) -> Refusal {
        let now = at.ns;
        self.faults.add(fault.begin_ns.max(self.zap.time_ns), now);
        let region = self.region(fault.region);
        match fault.outcome {
            FaultOutcome::Populated => {
                match fault.bytes {
                    Some(bytes) if has_size(&region.pages, bytes) => {
                        *region.pages.entry(bytes).or_default() += 1;
                    }
                    _ => region.unsized_faults += 1,
                }
                self.touch(at.task.pid, fault.address, fault.bytes.unwrap_or(0));
                self.zap.first_ns.get_or_insert(now);
                self.zap.last_ns = Some(now);
                Refusal::None
            }
            FaultOutcome::Refused => {
                region.refused += 1;
                self.zap.refused_ns.get_or_insert(now);
                // Refused after the page was populated again: another cause.
                if self.zap.last_ns.is_some() {
                    return Refusal::OtherCause;
                }
                match std::mem::replace(&mut self.refusal_reported, true) {
                    true => Refusal::Reported,
                    false => Refusal::Explained {
                        cause: self.zap.cause,
                        since_ns: now.saturating_sub(self.zap.time_ns),
                    },
                }
            }
            FaultOutcome::Fallback | FaultOutcome::RefusedForDma | FaultOutcome::Other => {
                Refusal::None
            }
        }
    }

    /// The call of `tid` returned.
    pub(super) fn call_returned(&mut self, tid: u32) {
        self.calling &= self.zap.task.tid != tid;
    }

    /// Whether the device's user waits for a wakeup eventfd.
    pub(super) fn is_asleep(&self) -> bool {
        let wakes = self.zap.cause.kind == CauseKind::LowPowerEntryWithWakeup;
        wakes && self.zap.wakeup_ns.is_none() && self.zap.first_ns.is_none()
    }

    /// The wakeup eventfd was signalled.
    pub(super) fn woken(&mut self, now: u64) {
        self.zap.wakeup_ns = Some(now);
    }

    /// When a fault last populated.
    pub(super) fn last_ns(&self) -> Option<u64> {
        self.zap.last_ns
    }

    /// Whether it zapped a part of the same range.
    pub(super) fn overlaps(&self, step: &ZapStep) -> bool {
        self.steps.iter().any(|other| step.overlaps(other))
    }

    /// Whether it zapped the page at `offset` of a region.
    pub(super) fn contains(&self, region: u32, offset: u64) -> bool {
        self.areas(region)
            .iter()
            .any(|area| area.offset <= offset && offset < area.offset.saturating_add(area.size))
    }

    /// Whether all that was known to be mapped is populated again.
    pub(super) fn is_complete(&self) -> bool {
        let regions = self.regions.values();
        let mapped = regions.fold(0_u64, |sum, region| sum.saturating_add(region.mapped_bytes));
        mapped > 0 && self.touched_bytes >= mapped
    }

    pub(super) fn finish(self, end_ns: u64, end: ZapEnd) -> Zap {
        Zap {
            regions: self.regions.into_values().collect(),
            fault_ns: self.faults.total(),
            end_ns,
            end,
            ..self.zap
        }
    }

    fn areas(&self, region: u32) -> Vec<Area> {
        let steps = self.steps.iter();
        steps.filter_map(|step| step.within(region)).collect()
    }

    fn region(&mut self, region: u32) -> &mut ZappedRegion {
        self.regions.entry(region).or_insert(ZappedRegion {
            region,
            ..ZappedRegion::default()
        })
    }

    /// `bytes` at `address` of the process `pid` are populated.
    fn touch(&mut self, pid: u32, address: u64, bytes: u64) {
        let start = address - address.checked_rem(bytes).unwrap_or(0);
        if self.touched.len() < PLACES && self.touched.insert((pid, start)) {
            self.touched_bytes = self.touched_bytes.saturating_add(bytes);
        }
    }
}

/// Whether a zap explains a refused access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It was not refused.
    None,
    /// The zap explains it, and it is the first refused access since the zap.
    Explained {
        cause: Cause,
        /// How long ago, ns.
        since_ns: u64,
    },
    /// The zap explains it, and has explained another one before.
    Reported,
    /// The pages were populated again: the access has another cause.
    OtherCause,
}
