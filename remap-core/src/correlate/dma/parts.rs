//! The parts of regions that are mapped for DMA (P2P), by container or iommufd.

use crate::correlate::areas::{self, RegionAreas};
use crate::event::{DeviceKey, NodeKey, Place};
use crate::parse::region::Area;

/// A part of a region that is mapped for DMA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::correlate) struct Part {
    pub(in crate::correlate) node: NodeKey,
    /// The process that has the mapping.
    pub(in crate::correlate) pid: u32,
    pub(in crate::correlate) device: DeviceKey,
    pub(in crate::correlate) region: u32,
    pub(in crate::correlate) area: Area,
    /// First address on the device's side.
    pub(in crate::correlate) iova: u64,
    /// It was reported in a finding.
    pub(in crate::correlate) reported: bool,
}

impl Part {
    /// Its place in the region (without the address in the process).
    pub(in crate::correlate) fn place(&self) -> Place {
        Place {
            region: self.region,
            area: self.area,
            address: 0,
        }
    }
}

/// The parts of all regions that were mapped for DMA within the trace, and still are.
#[derive(Clone, Debug, Default)]
pub(in crate::correlate) struct DmaParts {
    live: Vec<Part>,
}

impl DmaParts {
    pub(in crate::correlate) fn len(&self) -> usize {
        self.live.len()
    }

    /// A part of a region is mapped.
    pub(in crate::correlate) fn map(&mut self, part: Part) {
        self.live.push(part);
    }

    /// Removes `iova..iova + size` of `node` and returns it; the remainder on either side stays.
    pub(in crate::correlate) fn unmap(&mut self, node: NodeKey, iova: u64, size: u64) -> Vec<Part> {
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

    /// All of `node` was unmapped, or the node was closed.
    pub(in crate::correlate) fn unmap_all(&mut self, node: NodeKey) -> Vec<Part> {
        self.live.extract_if(.., |part| part.node == node).collect()
    }

    /// The device was closed.
    pub(in crate::correlate) fn close(&mut self, device: DeviceKey) {
        self.live.retain(|part| part.device != device);
    }

    /// The part of `lost` that is mapped for DMA from the process `pid` and was not reported yet;
    /// marks it as reported.
    pub(in crate::correlate) fn mark_reported(
        &mut self,
        device: DeviceKey,
        region: u32,
        pid: u32,
        lost: &[Area],
    ) -> Vec<Area> {
        let mut both = Vec::new();
        for part in &mut self.live {
            let key = (part.device, part.region, part.pid, part.reported);
            if key == (device, region, pid, false) {
                let common = areas::common(&[part.area], lost);
                part.reported |= !common.is_empty();
                both.extend(common);
            }
        }
        areas::normalise(&both)
    }

    /// The ranges of a device that are mapped for DMA, by any process.
    pub(in crate::correlate) fn of(&self, device: DeviceKey) -> RegionAreas {
        let mut regions = RegionAreas::new();
        for part in self.live.iter().filter(|part| part.device == device) {
            regions.entry(part.region).or_default().push(part.area);
        }
        for areas in regions.values_mut() {
            *areas = areas::normalise(areas);
        }
        regions
    }

    /// Records were lost: a listed part may have been unmapped.
    pub(in crate::correlate) fn lose(&mut self) {
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

    fn mapped() -> DmaParts {
        let mut maps = DmaParts::default();
        maps.map(Part {
            node: NODE,
            pid: 7,
            device: DEVICE,
            region: 2,
            area: area(0x1000, 0x3000),
            iova: 0x8000,
            reported: false,
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
            maps.of(DEVICE)[&2],
            [area(0x1000, 0x1000), area(0x3000, 0x1000)]
        );
        // The remainder behind the gap has its own addresses.
        let ended = maps.unmap(NODE, 0xa000, 0x1000);
        assert_eq!(ended[0].area, area(0x3000, 0x1000));
        assert_eq!(maps.unmap_all(NODE).len(), 1);
        assert!(maps.of(DEVICE).is_empty());
    }

    #[test]
    fn each_part_is_reported_once_and_for_its_process() {
        let mut maps = mapped();
        let lost = [area(0x2000, 0x9000)];
        assert_eq!(maps.mark_reported(DEVICE, 2, 8, &lost), []);
        assert_eq!(
            maps.mark_reported(DEVICE, 2, 7, &lost),
            [area(0x2000, 0x2000)]
        );
        assert_eq!(maps.mark_reported(DEVICE, 2, 7, &lost), []);
    }
}
