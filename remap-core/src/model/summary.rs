//! The end of a trace: its sums, and the account of lost records.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Blind, Evicted, Stats};
use crate::account::Miss;
use crate::vmm::log::LogAccount;

/// What was left out, by the user's filters or because of the reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Withheld {
    /// Records of devices, processes and virtual machines that were not selected; they are not
    /// counted anywhere else.
    pub records: u64,
    /// Outputs of classes that were not selected: not shown, but counted in the sums.
    pub by_class: u64,
    /// Outputs that took less than the minimum latency: not shown, but counted in the sums.
    pub by_latency: u64,
    /// Lines about other regions, or about none.
    #[serde(default)]
    pub by_region: u64,
    /// Lines and events of another time.
    #[serde(default)]
    pub by_time: u64,
    /// Lines that were dropped because the reader of the output did not read: not shown, but counted
    /// in the sums.
    #[serde(default)]
    pub unread: u64,
}

/// What became of the spans for a collector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    /// Spans that the collector has accepted.
    pub spans: u64,
    /// Spans that it has not, by reason: `queue_full`, `given_up`, `rejected`, `unsent`.
    pub dropped: BTreeMap<String, u64>,
}

/// The end of a trace: its sums, and the account of lost records.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Records that the probes saw; `None` if that could not be read.
    pub seen: Option<u64>,
    /// Records that reached the correlation.
    pub delivered: u64,
    /// Records that did not, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Program runs that the kernel skipped on functions that not only VFIO devices call: each may
    /// have been a record, or a call of no concern.
    pub skipped: u64,
    /// Program runs that the kernel skipped (`recursion`, `probe_missed`), per program.
    pub missed: Vec<Miss>,
    /// Times in which hooks did not fire: what happened then is not known, and counted nowhere.
    pub blind: Vec<Blind>,
    /// What was made of them.
    #[serde(flatten)]
    pub stats: Stats,
    /// What the sums had no room for.
    #[serde(default)]
    pub evicted: Evicted,
    /// What was left out of the lines.
    pub withheld: Withheld,
    /// The spans that were sent to a collector; null if none was given.
    #[serde(default)]
    pub exported: Option<Exported>,
    /// The VMMs' logs that were read.
    pub logs: Vec<LogAccount>,
}

impl Summary {
    /// All that was lost.
    pub fn lost_total(&self) -> u64 {
        self.lost.values().sum()
    }

    /// For how long hooks did not fire, ns.
    pub fn blind_ns(&self) -> u64 {
        self.blind.iter().filter_map(Blind::duration).sum()
    }

    /// Whether every record that was seen is accounted for; `None` if it is not known how many
    /// were seen.
    pub fn exact(&self) -> Option<bool> {
        self.seen
            .map(|seen| self.delivered.checked_add(self.lost_total()) == Some(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity() {
        let mut summary = Summary {
            seen: Some(10),
            delivered: 7,
            ..Summary::default()
        };
        assert_eq!(summary.exact(), Some(false));
        summary.lost.insert("ring full".into(), 3);
        assert_eq!(summary.exact(), Some(true));
        summary.seen = None;
        assert_eq!(summary.exact(), None);
    }
}
