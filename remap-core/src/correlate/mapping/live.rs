//! The mapped parts of a device's regions, by process and address.

use std::collections::BTreeSet;

use crate::correlate::areas;
use crate::parse::region::Area;

#[derive(Clone, Debug)]
struct Mapping {
    pid: u32,
    address: u64,
    region: u32,
    area: Area,
}

/// The live mappings of one device, as far as they were made within the trace.
#[derive(Clone, Debug, Default)]
pub(in crate::correlate) struct LiveMappings {
    live: Vec<Mapping>,
    ever: BTreeSet<u32>,
}

impl LiveMappings {
    /// How much is stored ([`crate::correlate::room`]): each event may look at all of them.
    pub(super) fn room(&self) -> usize {
        64 * self.live.len() + self.ever.len()
    }

    /// A new mapping. It replaces one at the same addresses (`MAP_FIXED`).
    pub(in crate::correlate) fn map(&mut self, pid: u32, address: u64, region: u32, area: Area) {
        self.unmap(pid, address, area.size);
        self.ever.insert(region);
        self.live.push(Mapping {
            pid,
            address,
            region,
            area,
        });
    }

    /// The process `pid` has unmapped `address..address + size`. The remainder of a mapping on
    /// either side stays.
    pub(in crate::correlate) fn unmap(&mut self, pid: u32, address: u64, size: u64) {
        let gone = [Area {
            offset: address,
            size,
        }];
        let mut live = Vec::with_capacity(self.live.len());
        for mapping in self.live.drain(..) {
            if mapping.pid != pid {
                live.push(mapping);
                continue;
            }
            let addresses = [Area {
                offset: mapping.address,
                size: mapping.area.size,
            }];
            for rest in areas::subtract(&addresses, &gone) {
                live.push(Mapping {
                    address: rest.offset,
                    area: Area {
                        offset: mapping
                            .area
                            .offset
                            .saturating_add(rest.offset - mapping.address),
                        size: rest.size,
                    },
                    ..mapping
                });
            }
        }
        self.live = live;
    }

    /// The areas of `region` that are mapped in any process.
    pub(in crate::correlate) fn alive(&self, region: u32) -> Vec<Area> {
        let mapped: Vec<Area> = self
            .live
            .iter()
            .filter(|mapping| mapping.region == region)
            .map(|mapping| mapping.area)
            .collect();
        areas::normalise(&mapped)
    }

    /// The areas of `region` that are mapped although `allowed` does not contain them.
    pub(in crate::correlate) fn forbidden(&self, region: u32, allowed: &[Area]) -> Vec<Area> {
        areas::subtract(&self.alive(region), allowed)
    }

    /// The regions of which something is mapped.
    pub(in crate::correlate) fn regions(&self) -> BTreeSet<u32> {
        self.live.iter().map(|mapping| mapping.region).collect()
    }

    /// How much of `areas` of a region is mapped, all mappings together, bytes.
    pub(in crate::correlate) fn overlap(&self, region: u32, areas: &[Area]) -> u64 {
        let of_region = self.live.iter().filter(|mapping| mapping.region == region);
        let both = of_region.flat_map(|mapping| areas::common(&[mapping.area], areas));
        both.fold(0, |sum, area| sum.saturating_add(area.size))
    }

    /// The parts of regions that the process `pid` has mapped at `address..address + size`, and
    /// where each begins.
    pub(in crate::correlate) fn at(
        &self,
        pid: u32,
        address: u64,
        size: u64,
    ) -> Vec<(u32, Area, u64)> {
        let wanted = [Area {
            offset: address,
            size,
        }];
        let mut parts = Vec::new();
        for mapping in self.live.iter().filter(|mapping| mapping.pid == pid) {
            let addresses = [Area {
                offset: mapping.address,
                size: mapping.area.size,
            }];
            for both in areas::common(&addresses, &wanted) {
                let offset = mapping
                    .area
                    .offset
                    .saturating_add(both.offset - mapping.address);
                let area = Area {
                    offset,
                    size: both.size,
                };
                parts.push((mapping.region, area, both.offset));
            }
        }
        parts
    }

    /// Whether `region` was ever mapped within the trace.
    pub(in crate::correlate) fn ever(&self, region: u32) -> bool {
        self.ever.contains(&region)
    }

    /// Records were lost: a listed mapping may have been removed.
    pub(in crate::correlate) fn lose(&mut self) {
        self.live.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: u32 = 2;

    fn area(offset: u64, size: u64) -> Area {
        Area { offset, size }
    }

    #[test]
    fn a_partial_unmap_leaves_both_sides() {
        let mut mappings = LiveMappings::default();
        mappings.map(1, 0x10000, REGION, area(0x1000, 0x3000));
        mappings.unmap(1, 0x11000, 0x1000);
        assert_eq!(
            mappings.alive(REGION),
            [area(0x1000, 0x1000), area(0x3000, 0x1000)]
        );
        assert_eq!(
            mappings.forbidden(REGION, &[area(0, 0x2000)]),
            [area(0x3000, 0x1000)]
        );
        // The remainder behind the gap has its own address.
        mappings.unmap(1, 0x12000, 0x1000);
        assert_eq!(mappings.alive(REGION), [area(0x1000, 0x1000)]);
    }

    #[test]
    fn what_lies_at_an_address() {
        let mut mappings = LiveMappings::default();
        mappings.map(1, 0x10000, REGION, area(0x1000, 0x3000));
        assert_eq!(
            mappings.at(1, 0x11000, 0x9000),
            [(REGION, area(0x2000, 0x2000), 0x11000)]
        );
        assert_eq!(mappings.at(2, 0x11000, 0x9000), []);
        assert_eq!(mappings.overlap(REGION, &[area(0, 0x1800)]), 0x800);
    }

    #[test]
    fn another_process_keeps_its_own() {
        let mut mappings = LiveMappings::default();
        mappings.map(1, 0x10000, REGION, area(0, 0x1000));
        mappings.unmap(2, 0x10000, 0x1000);
        assert_eq!(mappings.alive(REGION), [area(0, 0x1000)]);
    }

    #[test]
    fn a_fixed_mapping_replaces() {
        let mut mappings = LiveMappings::default();
        mappings.map(1, 0x10000, REGION, area(0, 0x2000));
        mappings.map(1, 0x10000, 3, area(0, 0x1000));
        assert_eq!(mappings.alive(REGION), [area(0x1000, 0x1000)]);
        assert!(mappings.ever(REGION) && mappings.ever(3) && !mappings.ever(4));
    }
}
