//! Which parts of regions are mapped for DMA (P2P), through which container or iommufd.

use super::areas;
use crate::event::{DeviceKey, NodeKey};
use crate::parse::region::Area;

/// A part of a region that is mapped for DMA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) node: NodeKey,
    /// The process whose mapping it was made from.
    pub(super) pid: u32,
    pub(super) device: DeviceKey,
    pub(super) region: u32,
    pub(super) area: Area,
    /// First address on the device's side.
    pub(super) iova: u64,
    /// A finding was made of it.
    pub(super) told: bool,
}

/// The parts of all regions that were mapped for DMA within the trace, and still are.
#[derive(Clone, Debug, Default)]
pub(super) struct DmaMaps {
    live: Vec<Part>,
}

impl DmaMaps {
    /// A part of a region is mapped.
    pub(super) fn map(&mut self, part: Part) {
        self.live.push(part);
    }

    /// What is unmapped at `iova..iova + size` of `node`; whatever remains on either side stays.
    pub(super) fn unmap(&mut self, node: NodeKey, iova: u64, size: u64) -> Vec<Part> {
        let gone = [Area { offset: iova, size }];
        let mut ended = Vec::new();
        let mut live = Vec::with_capacity(self.live.len());
        for part in self.live.drain(..) {
            if part.node != node {
                live.push(part);
                continue;
            }
            let addresses = [Area {
                offset: part.iova,
                size: part.area.size,
            }];
            let piece = |address: &Area| Part {
                iova: address.offset,
                area: Area {
                    offset: part.area.offset.saturating_add(address.offset - part.iova),
                    size: address.size,
                },
                ..part.clone()
            };
            ended.extend(areas::common(&addresses, &gone).iter().map(piece));
            live.extend(areas::subtract(&addresses, &gone).iter().map(piece));
        }
        self.live = live;
        ended
    }

    /// All of `node` is unmapped, or the node is gone.
    pub(super) fn unmap_all(&mut self, node: NodeKey) -> Vec<Part> {
        self.live.extract_if(.., |part| part.node == node).collect()
    }

    /// The device is gone.
    pub(super) fn close(&mut self, device: DeviceKey) {
        self.live.retain(|part| part.device != device);
    }

    /// What of `area` of a region is mapped for DMA from the process `pid`, and was not told yet;
    /// from now on it is.
    pub(super) fn tell(
        &mut self,
        device: DeviceKey,
        region: u32,
        pid: u32,
        lost: &[Area],
    ) -> Vec<Area> {
        let mut both = Vec::new();
        for part in &mut self.live {
            if (part.device, part.region, part.pid, part.told) == (device, region, pid, false) {
                let common = areas::common(&[part.area], lost);
                part.told |= !common.is_empty();
                both.extend(common);
            }
        }
        areas::normalise(&both)
    }

    /// What of a region is mapped for DMA, whoever mapped it.
    pub(super) fn of(&self, device: DeviceKey, region: u32) -> Vec<Area> {
        let parts = self.live.iter();
        let of_region = parts.filter(|part| (part.device, part.region) == (device, region));
        areas::normalise(&of_region.map(|part| part.area).collect::<Vec<_>>())
    }

    /// The regions of a device of which something is mapped for DMA.
    pub(super) fn regions(&self, device: DeviceKey) -> impl Iterator<Item = u32> {
        let parts = self.live.iter();
        parts
            .filter(move |part| part.device == device)
            .map(|part| part.region)
    }

    /// Records were lost: one that is listed may be gone.
    pub(super) fn forget(&mut self) {
        self.live.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeKey = NodeKey(1);
    const DEVICE: DeviceKey = DeviceKey(2);

    fn area(offset: u64, size: u64) -> Area {
        Area { offset, size }
    }

    fn mapped() -> DmaMaps {
        let mut maps = DmaMaps::default();
        maps.map(Part {
            node: NODE,
            pid: 7,
            device: DEVICE,
            region: 2,
            area: area(0x1000, 0x3000),
            iova: 0x8000,
            told: false,
        });
        maps
    }

    #[test]
    fn an_unmap_ends_what_it_names() {
        let mut maps = mapped();
        assert_eq!(maps.unmap(NodeKey(9), 0, u64::MAX), []);
        let ended = maps.unmap(NODE, 0x9000, 0x1000);
        assert_eq!(ended[0].area, area(0x2000, 0x1000));
        assert_eq!(
            maps.of(DEVICE, 2),
            [area(0x1000, 0x1000), area(0x3000, 0x1000)]
        );
        assert_eq!(maps.unmap_all(NODE).len(), 2);
        assert_eq!(maps.of(DEVICE, 2), []);
    }

    #[test]
    fn each_part_is_told_once_and_for_its_process() {
        let mut maps = mapped();
        let lost = [area(0x2000, 0x9000)];
        assert_eq!(maps.tell(DEVICE, 2, 8, &lost), []);
        assert_eq!(maps.tell(DEVICE, 2, 7, &lost), [area(0x2000, 0x2000)]);
        assert_eq!(maps.tell(DEVICE, 2, 7, &lost), []);
    }
}
