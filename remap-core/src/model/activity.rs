//! What happened on a device within a span of time, and how much of it that took.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Errno;

/// Reads and writes of migration data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataStats {
    /// Reads that gave data.
    pub reads: u64,
    /// Bytes that user space read (the source's side).
    pub read_bytes: u64,
    /// Writes that took data.
    pub writes: u64,
    /// Bytes that user space wrote (the destination's side).
    pub written_bytes: u64,
    /// When the first that moved data began (CLOCK_MONOTONIC ns).
    pub first_ns: Option<u64>,
    /// When the last that moved data returned (CLOCK_MONOTONIC ns).
    pub last_ns: Option<u64>,
    /// Time in which at least one was in flight, ns.
    pub busy_ns: u64,
    /// Reads that gave 0: the end of the data.
    pub ends: u64,
    /// Reads that found nothing for now (`ENOMSG`, in PRE_COPY).
    pub drained: u64,
    /// Reads and writes that failed otherwise.
    pub failed: u64,
    /// The errno of the last of those.
    pub errno: Option<Errno>,
}

impl DataStats {
    /// Bytes moved in either direction.
    pub fn bytes(&self) -> u64 {
        self.read_bytes.saturating_add(self.written_bytes)
    }

    /// Whether anything was read or written, or tried.
    pub fn any(&self) -> bool {
        self.reads + self.writes + self.ends + self.drained + self.failed > 0
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
        self.writes += other.writes;
        self.written_bytes = self.written_bytes.saturating_add(other.written_bytes);
        self.first_ns = self.first_ns.into_iter().chain(other.first_ns).min();
        self.last_ns = self.last_ns.max(other.last_ns);
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
        self.ends += other.ends;
        self.drained += other.drained;
        self.failed += other.failed;
        self.errno = other.errno.or(self.errno);
    }
}

/// What happened on a device within a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Activity {
    /// Faults on mapped regions, however they ended, but for those that are asked for again at a
    /// smaller order.
    pub faults: u64,
    /// Time in which at least one thread was in a fault, ns.
    pub fault_ns: u64,
    /// Calls that took the pages out of mappings.
    pub zaps: u64,
    /// Migration data.
    pub data: DataStats,
    /// Records of faults, or of reads and writes of migration data, were lost meanwhile: each figure
    /// is a lower bound.
    pub partial: bool,
}

impl Activity {
    pub(crate) fn add(&mut self, other: &Self) {
        self.faults += other.faults;
        self.fault_ns = self.fault_ns.saturating_add(other.fault_ns);
        self.zaps += other.zaps;
        self.data.add(&other.data);
        self.partial |= other.partial;
    }
}

/// Where the time of state changes went, ns. What overlaps is counted where it comes first here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// Waiting for user space to answer the remap IRQ.
    pub remap_ns: u64,
    /// Migration data being read or written.
    pub data_ns: u64,
    /// Faults on mapped regions.
    pub fault_ns: u64,
    /// The rest: the driver's own work.
    pub other_ns: u64,
}

impl Spent {
    /// All of it, ns.
    pub fn total(&self) -> u64 {
        [self.remap_ns, self.data_ns, self.fault_ns, self.other_ns]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.remap_ns = self.remap_ns.saturating_add(other.remap_ns);
        self.data_ns = self.data_ns.saturating_add(other.data_ns);
        self.fault_ns = self.fault_ns.saturating_add(other.fault_ns);
        self.other_ns = self.other_ns.saturating_add(other.other_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_moved_nothing_is_activity_too() {
        assert!(!DataStats::default().any());
        let one: [fn(&mut DataStats); 5] = [
            |data| data.reads = 1,
            |data| data.writes = 1,
            |data| data.ends = 1,
            |data| data.drained = 1,
            |data| data.failed = 1,
        ];
        for (n, add) in one.into_iter().enumerate() {
            let mut data = DataStats::default();
            add(&mut data);
            assert!(data.any(), "{n}");
        }
    }

    #[test]
    fn failures_of_both_spans_are_added() {
        let failed = |failed, errno| DataStats {
            failed,
            errno,
            ..DataStats::default()
        };
        let mut sum = failed(2, Some(Errno::EIO));
        sum.add(&failed(3, Some(Errno::EFAULT)));
        sum.add(&failed(0, None));
        assert_eq!((sum.failed, sum.errno), (5, Some(Errno::EFAULT)));
    }
}
