//! Parts of a device's file, which a zap names across regions.

use remap_common::uapi::VFIO_PCI_OFFSET_SHIFT;

use crate::parse::region::Area;

/// A part of a device's file.
#[derive(Clone, Copy, Debug)]
pub(in crate::correlate) struct FileRange {
    /// First and last region index.
    pub(in crate::correlate) regions: (u32, u32),
    /// Within the first region, bytes.
    pub(in crate::correlate) offset: u64,
    /// Bytes; 0 for all behind.
    pub(in crate::correlate) size: u64,
}

impl FileRange {
    fn bounds(self) -> (u128, u128) {
        let begin = (u128::from(self.regions.0) << VFIO_PCI_OFFSET_SHIFT) + u128::from(self.offset);
        match self.size {
            0 => (begin, u128::MAX),
            size => (begin, begin + u128::from(size)),
        }
    }

    /// Whether both have bytes in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        let ((begin, end), (other_begin, other_end)) = (self.bounds(), other.bounds());
        begin < other_end && other_begin < end
    }

    /// What of `region` it contains.
    pub(super) fn of(self, region: u32) -> Option<Area> {
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

    #[test]
    fn a_range_contains_parts_of_regions() {
        let bars = FileRange {
            regions: (0, 5),
            offset: 0,
            size: 6 << VFIO_PCI_OFFSET_SHIFT,
        };
        let region = Area {
            offset: 0,
            size: 1 << VFIO_PCI_OFFSET_SHIFT,
        };
        assert_eq!(
            (bars.of(0), bars.of(5), bars.of(6)),
            (Some(region), Some(region), None)
        );
        let part = FileRange {
            regions: (2, 2),
            offset: 0x1000,
            size: 0x2000,
        };
        let area = Area {
            offset: 0x1000,
            size: 0x2000,
        };
        assert_eq!(
            (part.of(1), part.of(2), part.of(3)),
            (None, Some(area), None)
        );
        let behind = FileRange {
            regions: (1, u32::MAX),
            offset: 0x1000,
            size: 0,
        };
        assert_eq!(behind.of(1).map(|area| area.offset), Some(0x1000));
        assert_eq!(behind.of(9), Some(region));
    }

    #[test]
    fn ranges_that_touch_do_not_overlap() {
        let page = |offset| FileRange {
            regions: (1, 1),
            offset,
            size: 0x1000,
        };
        assert!(page(0).overlaps(page(0xfff)) && page(0xfff).overlaps(page(0)));
        assert!(!page(0).overlaps(page(0x1000)) && !page(0x1000).overlaps(page(0)));
    }
}
