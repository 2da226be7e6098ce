//! What a device's mappings add up to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::times::{Quantiles, Times};
use crate::json;

json::list! {
    /// Faults that populated as much each.
    pub Pages of PageCount {
        /// How much each populated, bytes.
        size: u64,
        /// How many.
        faults: u64,
    }
}

/// Mappings of one region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MappingStats {
    /// Mappings that were made.
    pub maps: u64,
    /// Mappings that were there when the trace began.
    pub found: u64,
    /// Mappings that were refused.
    pub refused_maps: u64,
    /// Mappings that ended, whole or in part.
    pub unmaps: u64,
    /// Mappings of it that were made for DMA.
    pub dma_maps: u64,
    /// Those that ended.
    pub dma_unmaps: u64,
    /// Faults that populated, by how much each did, bytes.
    #[serde(with = "Pages")]
    pub pages: BTreeMap<u64, u64>,
    /// Faults that populated an unknown number of bytes.
    pub unsized_faults: u64,
    /// Faults that were refused (`VM_FAULT_SIGBUS`).
    pub refused_faults: u64,
    /// Faults that were asked for again at a smaller order, or ended in another way.
    pub other_faults: u64,
}

impl MappingStats {
    /// All faults.
    pub fn faults(&self) -> u64 {
        let sized: u64 = self.pages.values().sum();
        sized + self.unsized_faults + self.refused_faults + self.other_faults
    }

    /// Whether anything happened.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// Zaps of one cause.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ZapStats {
    /// Zaps.
    pub zaps: u64,
    /// Faults that populated afterwards.
    pub populated: u64,
    /// Bytes that those populated; without faults of unknown size.
    pub bytes: u64,
    /// Of the faults that populated, those of unknown size.
    pub unsized_faults: u64,
    /// Faults that were refused.
    pub refused: u64,
    /// Time in which at least one thread was in a fault, ns.
    pub fault_ns: u64,
    pub(crate) duration: Times,
}

impl ZapStats {
    /// From the zap to the last fault that populated; `None` if none did.
    pub fn duration(&self) -> Option<Quantiles> {
        self.duration.quantiles()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_fault_is_something_that_happened() {
        assert!(!MappingStats::default().any());
        let refused = MappingStats {
            refused_faults: 1,
            ..MappingStats::default()
        };
        assert!(refused.any());
        assert_eq!(refused.faults(), 1);
    }
}
