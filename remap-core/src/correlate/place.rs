//! Where a mapping is.

use crate::parse::region::Area;

/// A part of a region, and where it is in the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) region: u32,
    pub(super) area: Area,
    /// Start address in the process.
    pub(super) address: u64,
}

impl Place {
    pub(super) fn new(region: u32, offset: u64, size: u64, address: u64) -> Self {
        let area = Area { offset, size };
        Self {
            region,
            area,
            address,
        }
    }
}
