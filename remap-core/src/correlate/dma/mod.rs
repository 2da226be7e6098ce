//! Regions that are mapped for DMA, and those that lose their mmap meanwhile.
//!
//! Containers and iommufds belong to a process, so this is the one tracker over all devices. When a
//! process ends, the kernel removes its mappings before it closes its files; that is no error. So an
//! mmap that is removed while it is mapped for DMA is a finding only after its process has done
//! something else, or has run on for long.

mod parts;

use super::areas::{self, RegionAreas};
use super::rules::{Verdict, dma_mapped};
use crate::event::{DeviceKey, DmaCall, DmaKind, NodeKey, Place};
use crate::model::DmaLoss;
use crate::parse::region::Area;
use parts::DmaParts;
pub(super) use parts::Part;

/// So many parts of regions are mapped for DMA at a time.
const MOST: usize = 4096;

/// A region lost its mmap while it was mapped for DMA: a finding, if its process runs on.
#[derive(Clone, Debug)]
pub(super) struct PendingDmaFinding {
    pid: u32,
    due_ns: u64,
    pub(super) device: DeviceKey,
    /// When the mmap was removed (CLOCK_MONOTONIC ns).
    pub(super) time_ns: u64,
    pub(super) verdict: Verdict,
}

/// What an event shows about the process in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcessSign {
    /// It closes its files: it may be ending.
    Ends,
    /// Nothing: a process that ends does this too, or the event is not caused by the process.
    None,
    /// It runs on.
    Lives,
}

/// The mappings for DMA of all devices.
#[derive(Debug, Default)]
pub(super) struct Dma {
    parts: DmaParts,
    pending: Vec<PendingDmaFinding>,
}

impl Dma {
    /// The ranges of a device that are mapped for DMA.
    pub(super) fn of(&self, device: DeviceKey) -> RegionAreas {
        self.parts.of(device)
    }

    /// A part of a region is mapped. Returns whether there was room for it: else nothing is stored any
    /// more, as if records had been lost.
    pub(super) fn map(&mut self, part: Part) -> bool {
        let room = self.parts.len() < MOST;
        if !room {
            self.lose();
        }
        self.parts.map(part);
        room
    }

    /// A range of a container or iommufd is unmapped, or all of it: the parts that were mapped
    /// there.
    pub(super) fn unmap(&mut self, call: &DmaCall) -> Vec<Part> {
        match call.kind {
            DmaKind::Map => Vec::new(),
            DmaKind::Unmap => self.parts.unmap(call.node, call.iova, call.size),
            DmaKind::UnmapAll => self.parts.unmap_all(call.node),
        }
    }

    /// A container or iommufd was closed.
    pub(super) fn close_node(&mut self, node: NodeKey) {
        self.parts.unmap_all(node);
    }

    /// A process unmapped a part of a region at `now`, which it may still have mapped for DMA.
    pub(super) fn unmapped(
        &mut self,
        (now, stuck_ns): (u64, u64),
        pid: u32,
        device: DeviceKey,
        place: Place,
    ) {
        let (region, lost) = (place.region, [place.area]);
        let both = self.parts.mark_reported(device, region, pid, &lost);
        if !both.is_empty() {
            self.pending.push(PendingDmaFinding {
                pid,
                due_ns: now.saturating_add(stuck_ns),
                device,
                time_ns: now,
                verdict: dma_mapped(region, &both, DmaLoss::Unmapped),
            });
        }
    }

    /// A process acknowledged that a region may be mapped at `allowed` only. Notes the rest that is
    /// still mapped for DMA.
    pub(super) fn trapped(
        &mut self,
        device: DeviceKey,
        region: u32,
        pid: u32,
        allowed: &[Area],
    ) -> Option<Verdict> {
        let mapped = self.parts.of(device).remove(&region)?;
        let forbidden = areas::subtract(&mapped, allowed);
        let both = self.parts.mark_reported(device, region, pid, &forbidden);
        (!both.is_empty()).then(|| dma_mapped(region, &both, DmaLoss::Trapped))
    }

    /// A process did something: returns the findings that this confirms.
    pub(super) fn process(&mut self, pid: u32, sign: ProcessSign) -> Vec<PendingDmaFinding> {
        let own = |pending: &mut PendingDmaFinding| pending.pid == pid;
        match sign {
            ProcessSign::None => Vec::new(),
            ProcessSign::Lives => self.pending.extract_if(.., own).collect(),
            ProcessSign::Ends => {
                self.pending.retain(|pending| pending.pid != pid);
                Vec::new()
            }
        }
    }

    /// The findings of processes that have run on.
    pub(super) fn settle(&mut self, now: u64) -> Vec<PendingDmaFinding> {
        let due = |pending: &mut PendingDmaFinding| pending.due_ns <= now;
        self.pending.extract_if(.., due).collect()
    }

    /// Records were lost: a listed mapping may have been removed.
    pub(super) fn lose(&mut self) {
        self.parts.lose();
        self.pending.clear();
    }

    /// Records of one device were lost: the same for its mappings.
    pub(super) fn lose_device(&mut self, device: DeviceKey) {
        self.parts.close(device);
        self.pending.retain(|pending| pending.device != device);
    }

    /// A device was closed.
    pub(super) fn close(&mut self, device: DeviceKey) {
        self.parts.close(device);
    }
}
