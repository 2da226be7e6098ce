//! Regions that are mapped for DMA: which, and which lose their mmap meanwhile.
//!
//! The end of a process takes its mappings away before it closes its files, and that is no
//! mistake. So a mapping that goes while it is mapped for DMA is an accusation only once its
//! process has done something else, or has lived on for long.

use super::Correlator;
use super::areas;
use super::dma::Part;
use super::memory::Place;
use super::rule::{Found, dma_mapped};
use crate::event::{Body, DeviceKey, DmaKind, Event, Node};
use crate::model::Rule;
use crate::parse::region::Area;

/// A region that lost its mmap while it was mapped for DMA.
#[derive(Clone, Debug)]
pub(super) struct Stray {
    pid: u32,
    device: DeviceKey,
    due: u64,
    time_ns: u64,
    verdict: (Rule, Found),
}

impl Correlator {
    /// A mapping for DMA was made, or ended.
    pub(super) fn dma(&mut self, event: &Event) {
        let Body::Dma {
            node,
            kind,
            iova,
            size,
            vaddr,
            result: Ok(_),
            ..
        } = &event.body
        else {
            return;
        };
        let parts = match (kind, vaddr) {
            (DmaKind::Map, Some(vaddr)) => {
                let mut parts = Vec::new();
                for (key, device) in &self.devices {
                    for (region, area, address) in device.mappings.at(event.task.pid, *vaddr, *size)
                    {
                        parts.push(Part {
                            node: *node,
                            pid: event.task.pid,
                            device: *key,
                            region,
                            area,
                            iova: iova.saturating_add(address - vaddr),
                            told: false,
                        });
                    }
                }
                parts.iter().for_each(|part| self.dma.map(part.clone()));
                parts
            }
            (DmaKind::Map, None) => Vec::new(),
            (DmaKind::Unmap, _) => self.dma.unmap(*node, *iova, *size),
            (DmaKind::UnmapAll, _) => self.dma.unmap_all(*node),
        };
        for part in parts {
            if let Some(device) = self.devices.get(&part.device) {
                let place = Place {
                    region: part.region,
                    area: part.area,
                    address: 0,
                };
                device.dma(&mut self.desk, event, place, *kind);
            }
        }
    }

    /// A mapping is gone: is it still mapped for DMA?
    pub(super) fn stray(&mut self, event: &Event, device: DeviceKey, place: Place) {
        let pid = event.task.pid;
        let both = self.dma.tell(device, place.region, pid, &[place.area]);
        if !both.is_empty() {
            self.strays.push(Stray {
                pid,
                device,
                due: event.time_ns.saturating_add(self.desk.options.stuck_ns),
                time_ns: event.time_ns,
                verdict: dma_mapped(place.region, &both, "were unmapped"),
            });
        }
    }

    /// What a process does next tells whether it lost its mappings because it ends.
    pub(super) fn excuse(&mut self, event: &Event) {
        let pid = event.task.pid;
        if self.strays.iter().all(|stray| stray.pid != pid) {
            return;
        }
        match &event.body {
            Body::Close { .. }
            | Body::NodeClose {
                node: Node::Container { .. } | Node::Iommufd { .. },
            } => self.strays.retain(|stray| stray.pid != pid),
            // The end of a process does these too, and an interrupt may come on top of it.
            Body::Unmap { .. }
            | Body::Release { .. }
            | Body::NodeClose { .. }
            | Body::Signal { .. }
            | Body::Consumed { .. }
            | Body::Owner { .. }
            | Body::Unknown { .. }
            | Body::Lost { .. } => {}
            _ => self.accuse(|stray| stray.pid == pid),
        }
    }

    /// Those whose process has lived on.
    pub(super) fn settle_strays(&mut self, now: u64) {
        if !self.strays.is_empty() {
            self.accuse(|stray| stray.due <= now);
        }
    }

    fn accuse(&mut self, wanted: impl Fn(&Stray) -> bool) {
        for stray in self.strays.extract_if(.., |stray| wanted(stray)) {
            if let Some(device) = self.devices.get_mut(&stray.device) {
                device.raise(&mut self.desk, stray.time_ns, &[], stray.verdict);
            }
        }
    }

    /// What was acknowledged just now: may it still be reached by DMA?
    pub(super) fn accuse_trapped(&mut self, event: &Event) {
        let Some(key) = event.device() else {
            return;
        };
        let Some(device) = self.devices.get_mut(&key) else {
            return;
        };
        for (region, allowed, pid) in std::mem::take(&mut device.acked) {
            let mapped: Vec<Area> = self.dma.of(key, region);
            let forbidden = areas::subtract(&mapped, &allowed);
            let both = self.dma.tell(key, region, pid, &forbidden);
            if !both.is_empty() {
                let verdict = dma_mapped(region, &both, "are trapped");
                device.raise(&mut self.desk, event.time_ns, &[], verdict);
            }
        }
    }
}
