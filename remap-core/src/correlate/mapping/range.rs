//! Parts of a device's file, which a zap names across regions.

use remap_common::uapi::VFIO_PCI_OFFSET_SHIFT;

use crate::event::ZapStep;
use crate::parse::region::Area;

impl ZapStep {
    fn bounds(&self) -> (u128, u128) {
        let begin = (u128::from(self.regions.0) << VFIO_PCI_OFFSET_SHIFT) + u128::from(self.offset);
        match self.size {
            0 => (begin, u128::MAX),
            size => (begin, begin + u128::from(size)),
        }
    }

    /// Whether both have bytes in common.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let ((begin, end), (other_begin, other_end)) = (self.bounds(), other.bounds());
        begin < other_end && other_begin < end
    }

    /// The part of `region` that it covers.
    pub(super) fn within(&self, region: u32) -> Option<Area> {
        let (begin, end) = self.bounds();
        let base = u128::from(region) << VFIO_PCI_OFFSET_SHIFT;
        let offset = begin.saturating_sub(base);
        let end = end.saturating_sub(base).min(1 << VFIO_PCI_OFFSET_SHIFT);
        // Both are within a region now.
        let area = Area {
            offset: u64::try_from(offset).ok()?,
            size: u64::try_from(end.checked_sub(offset)?).ok()?,
        };
        (area.size > 0).then_some(area)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DeviceKey, ZapCause};

    fn step(regions: (u32, u32), offset: u64, size: u64) -> ZapStep {
        ZapStep {
            device: DeviceKey(1),
            regions,
            offset,
            size,
            cause: ZapCause::Unknown,
        }
    }

    #[test]
    fn a_range_contains_parts_of_regions() {
        let bars = step((0, 5), 0, 6 << VFIO_PCI_OFFSET_SHIFT);
        let region = Area {
            offset: 0,
            size: 1 << VFIO_PCI_OFFSET_SHIFT,
        };
        assert_eq!(
            (bars.within(0), bars.within(5), bars.within(6)),
            (Some(region), Some(region), None)
        );
        let part = step((2, 2), 0x1000, 0x2000);
        let area = Area {
            offset: 0x1000,
            size: 0x2000,
        };
        assert_eq!(
            (part.within(1), part.within(2), part.within(3)),
            (None, Some(area), None)
        );
        let behind = step((1, u32::MAX), 0x1000, 0);
        assert_eq!(behind.within(1).map(|area| area.offset), Some(0x1000));
        assert_eq!(behind.within(9), Some(region));
    }

    #[test]
    fn ranges_that_touch_do_not_overlap() {
        let page = |offset| step((1, 1), offset, 0x1000);
        assert!(page(0).overlaps(&page(0xfff)) && page(0xfff).overlaps(&page(0)));
        assert!(!page(0).overlaps(&page(0x1000)) && !page(0x1000).overlaps(&page(0)));
    }
}
