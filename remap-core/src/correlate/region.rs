//! The descriptions of a device's regions (`GET_REGION_INFO`).

use std::collections::BTreeMap;

use super::areas;
use crate::event::Answer;
use crate::model::View;
use crate::parse::region::{Area, Region};

/// Type and subtype of the legacy migration region (`VFIO_REGION_TYPE_MIGRATION_DEPRECATED`).
const LEGACY_MIGRATION_REGION: (u32, u32) = (3, 1);

/// A region's description, and when it was given.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) view: View,
    /// CLOCK_MONOTONIC, ns.
    pub(super) ns: u64,
}

/// What was known of a region before its latest description.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// The size that it had at first.
    pub(super) size: Option<u64>,
    /// The last description had a stale sparse capability.
    pub(super) stale: bool,
    /// How many descriptions before this one, without a break, had the same error.
    pub(super) repeated: u32,
    /// It cannot be what another thread wrote to the caller's memory: the same came twice.
    pub(super) confirmed: bool,
}

/// A malformed answer, and how often it came without a break.
#[derive(Debug, Default)]
pub(super) struct Malformed {
    last: Option<(String, u64)>,
    times: u32,
}

impl Malformed {
    /// An answer came. Returns how often the same one came before, without a break.
    pub(super) fn came(&mut self, reason: &str, digest: u64) -> u32 {
        let answer = (reason.to_owned(), digest);
        if self.last.as_ref() != Some(&answer) {
            (self.last, self.times) = (Some(answer), 0);
        }
        let before = self.times;
        self.times = self.times.saturating_add(1);
        before
    }
}

/// The regions of one device.
#[derive(Debug, Default)]
pub(super) struct Regions {
    by_index: BTreeMap<u32, Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    last: Option<Described>,
    /// Its size at first.
    size: Option<u64>,
    /// How often that size came.
    size_seen: u32,
    /// The deviating size of the last description, and how often it came without a break.
    deviating_size: Option<(u64, u32)>,
    /// The last description had a stale sparse capability.
    stale: bool,
    /// Type and subtype; they never change.
    kind: Option<(u32, u32)>,
    /// The last description was malformed.
    malformed: Malformed,
}

impl Regions {
    /// How much is stored ([`super::room`]): a description has a list of areas.
    pub(super) fn room(&self) -> usize {
        4 * self.by_index.len()
    }

    /// The last description of a region.
    pub(super) fn last(&self, region: u32) -> Option<&Described> {
        self.by_index.get(&region)?.last.as_ref()
    }

    /// Whether the last description of a region does not allow a mapping at `offset`.
    pub(super) fn is_trapped(&self, region: u32, offset: u64) -> bool {
        let page = Area { offset, size: 1 };
        self.last(region)
            .is_some_and(|last| !areas::subtract(&[page], &last.view.areas).is_empty())
    }

    /// Whether a region is that of the legacy migration protocol.
    pub(super) fn is_legacy_migration(&self, region: u32) -> bool {
        let facts = self.by_index.get(&region);
        facts.is_some_and(|facts| facts.kind == Some(LEGACY_MIGRATION_REGION))
    }

    /// A word of the legacy protocol was written to the start of a region, which is then assumed to
    /// be the migration region, unless it has been described. Returns whether it is.
    pub(super) fn infer_legacy_migration(&mut self, region: u32) -> bool {
        let facts = self.by_index.entry(region).or_default();
        let inferred = facts.last.is_none() && facts.kind.is_none();
        if inferred {
            facts.kind = Some(LEGACY_MIGRATION_REGION);
        }
        inferred
    }

    /// A description of a region was given at `now`.
    pub(super) fn described(&mut self, now: u64, index: u32, answer: &Answer) -> Before {
        let facts = self.by_index.entry(index).or_default();
        let before = Before {
            size: facts.size,
            stale: facts.stale,
            repeated: 0,
            confirmed: false,
        };
        match answer {
            Answer::Region(region) => {
                let repeated = facts.learn(region, now);
                Before {
                    repeated,
                    confirmed: repeated > 0 && facts.size_seen > 1,
                    ..before
                }
            }
            Answer::Malformed { reason, digest } => {
                let repeated = facts.malformed.came(reason, *digest);
                Before {
                    repeated,
                    confirmed: repeated > 0,
                    ..before
                }
            }
            _ => before,
        }
    }

    /// The device was closed.
    pub(super) fn close(&mut self) {
        self.by_index.clear();
    }

    /// Records were lost: a description may have been missed.
    pub(super) fn lose(&mut self) {
        for facts in self.by_index.values_mut() {
            *facts = Facts {
                kind: facts.kind,
                ..Facts::default()
            };
        }
    }
}

impl Facts {
    /// Returns how many descriptions before this one had the same deviating size.
    fn learn(&mut self, region: &Region, now: u64) -> u32 {
        self.last = Some(Described {
            view: View::of(region),
            ns: now,
        });
        self.stale = region.stale_sparse;
        self.kind = region.kind.or(self.kind);
        self.malformed = Malformed::default();
        let size = *self.size.get_or_insert(region.size);
        let before = self.deviating_size.take();
        if size == region.size {
            self.size_seen = self.size_seen.saturating_add(1);
            return 0;
        }
        let before = before.filter(|(size, _)| *size == region.size);
        let repeated = before.map_or(0, |(_, times)| times);
        self.deviating_size = Some((region.size, repeated.saturating_add(1)));
        repeated
    }
}
