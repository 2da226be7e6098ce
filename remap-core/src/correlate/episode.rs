//! From a zap to the faults that populate again: an episode for each call.

use std::collections::{BTreeMap, BTreeSet};

use remap_common::uapi::VFIO_PCI_OFFSET_SHIFT;

use super::activity::Cover;
use super::areas;
use super::device::Device;
use super::dma::DmaMaps;
use super::memory::Place;
use super::report::Desk;
use super::rule::{AtRefusal, access_refused};
use crate::event::{DeviceKey, Event, FaultOutcome, ZapCause};
use crate::model::{Cause, Zap, ZapEnd, ZappedRegion};
use crate::parse::region::Area;

/// A part of a device's file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) regions: (u32, u32),
    /// Within the first region, bytes.
    pub(super) offset: u64,
    /// Bytes; 0 for all behind.
    pub(super) size: u64,
}

impl Range {
    fn bounds(self) -> (u128, u128) {
        let begin = (u128::from(self.regions.0) << VFIO_PCI_OFFSET_SHIFT) + u128::from(self.offset);
        match self.size {
            0 => (begin, u128::MAX),
            size => (begin, begin + u128::from(size)),
        }
    }

    /// What of `region` it holds.
    fn of(self, region: u32) -> Option<Area> {
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

/// A zap that is not over.
#[derive(Clone, Debug)]
pub(super) struct Episode {
    zap: Zap,
    ranges: Vec<Range>,
    regions: BTreeMap<u32, ZappedRegion>,
    faults: Cover,
    /// What was populated, by process and address: two threads may populate the same.
    touched: BTreeSet<(u32, u64)>,
    touched_bytes: u64,
    /// The call that it happens in has not returned.
    calling: bool,
    last_step_ns: u64,
    /// A refused access was told.
    told: bool,
}

impl Episode {
    fn holds(&self, region: u32, offset: u64) -> bool {
        self.ranges.iter().any(|range| {
            range.of(region).is_some_and(|area| {
                area.offset <= offset && offset < area.offset.saturating_add(area.size)
            })
        })
    }

    fn areas(&self, region: u32) -> Vec<Area> {
        self.ranges
            .iter()
            .filter_map(|range| range.of(region))
            .collect()
    }

    fn region(&mut self, region: u32) -> &mut ZappedRegion {
        self.regions.entry(region).or_insert(ZappedRegion {
            region,
            ..ZappedRegion::default()
        })
    }

    /// `bytes` at `address` of the process `pid` are populated.
    fn touch(&mut self, pid: u32, address: u64, bytes: u64) {
        let start = address - address.checked_rem(bytes).unwrap_or(0);
        if self.touched.insert((pid, start)) {
            self.touched_bytes = self.touched_bytes.saturating_add(bytes);
        }
    }

    /// Whether all that was known to be mapped is populated again.
    fn whole(&self) -> bool {
        let regions = self.regions.values();
        let mapped = regions.fold(0_u64, |sum, region| sum.saturating_add(region.mapped_bytes));
        mapped > 0 && self.touched_bytes >= mapped
    }

    fn finish(self, end_ns: u64, end: ZapEnd) -> Zap {
        Zap {
            regions: self.regions.into_values().collect(),
            fault_ns: self.faults.total(),
            end_ns,
            end,
            ..self.zap
        }
    }
}

impl Device {
    /// The pages of `range` are taken out of every mapping.
    pub(super) fn zap(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        (key, dma): (DeviceKey, &DmaMaps),
        range: Range,
        cause: ZapCause,
    ) {
        let now = event.time_ns;
        let cause = Cause::of(cause);
        let step = self.episodes.iter().position(|episode| {
            let same = (episode.zap.cause, &episode.zap.task) == (cause, &event.task);
            let soon = now.saturating_sub(episode.last_step_ns) <= desk.options.settle_ns;
            same && soon && episode.calling && episode.zap.first_ns.is_none()
        });
        let at = match step {
            Some(at) => at,
            None => {
                self.begin_episode(desk, event, range, cause);
                self.episodes.len() - 1
            }
        };
        let mapped = self.mappings.regions();
        // No walk finds mappings for DMA.
        let whole = !self.found && !self.lossy;
        let Some(episode) = self.episodes.get_mut(at) else {
            return;
        };
        episode.ranges.push(range);
        episode.last_step_ns = now;
        episode.zap.steps += 1;
        for region in mapped.into_iter().chain(dma.regions(key)) {
            let areas = areas::normalise(&episode.areas(region));
            let mapped_bytes = self.mappings.overlap(region, &areas);
            let dma_bytes = total(&areas::common(&dma.of(key, region), &areas));
            if mapped_bytes + dma_bytes > 0 {
                let region = episode.region(region);
                region.mapped_bytes = mapped_bytes;
                region.dma_bytes = whole.then_some(dma_bytes);
            }
        }
        // The return of the device's own call tells what a reset did to its state. Of any other
        // only a query does.
        let own = self.calls.contains_key(&event.task.tid) || self.change_of(&event.task).is_some();
        if !own && (cause.resets() || cause == Cause::Unknown) {
            self.forget_state(desk, now);
        }
    }

    fn begin_episode(&mut self, desk: &mut Desk, event: &Event, range: Range, cause: Cause) {
        let now = event.time_ns;
        let overlaps = |episode: &Episode| {
            let (begin, end) = range.bounds();
            episode.ranges.iter().any(|other| {
                let (other_begin, other_end) = other.bounds();
                begin < other_end && other_begin < end
            })
        };
        self.end_episodes(desk, now, ZapEnd::NextZap, overlaps);
        let transition = self.change_of(&event.task).map(|change| change.reference());
        for change in &mut self.changes {
            change.inside.zap();
        }
        if self.changes.is_empty() {
            self.tally(|tally| tally.zap());
        }
        let zap = Zap {
            id: desk.next_zap(),
            device: self.name.clone(),
            cause,
            time_ns: now,
            steps: 0,
            task: event.task.clone(),
            regions: Vec::new(),
            transition,
            first_ns: None,
            last_ns: None,
            fault_ns: 0,
            refused_ns: None,
            wakeup_ns: None,
            end_ns: now,
            end: ZapEnd::TraceEnd,
        };
        self.episodes.push(Episode {
            zap,
            ranges: Vec::new(),
            regions: BTreeMap::new(),
            faults: Cover::default(),
            touched: BTreeSet::new(),
            touched_bytes: 0,
            calling: true,
            last_step_ns: now,
            told: false,
        });
    }

    /// A touch of a region without a page behind it returned.
    pub(super) fn fault(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        place: Place,
        begin_ns: u64,
        outcome: FaultOutcome,
    ) {
        let now = event.time_ns;
        let (region, offset) = (place.region, place.area.offset);
        let stats = desk.stats.mapping(&self.name, region);
        match outcome {
            FaultOutcome::Populated { bytes: Some(bytes) } => {
                *stats.pages.entry(bytes).or_default() += 1;
            }
            FaultOutcome::Populated { bytes: None } => stats.unsized_faults += 1,
            FaultOutcome::Refused => stats.refused_faults += 1,
            FaultOutcome::Fallback | FaultOutcome::RefusedForDma | FaultOutcome::Other(_) => {
                stats.other_faults += 1;
            }
        }
        let again = outcome == FaultOutcome::Fallback;
        for change in &mut self.changes {
            let begin_ns = begin_ns.max(change.begin_ns);
            change.inside.fault(begin_ns, now, again);
        }
        if self.changes.is_empty() {
            self.tally(|tally| tally.fault(begin_ns, now, again));
        }
        let trapped = self.regions.get(&region).and_then(|facts| {
            let (view, _) = facts.view.as_ref()?;
            Some(!areas::subtract(&[place.area], &view.areas).is_empty())
        });
        let mut moment = AtRefusal {
            region,
            offset,
            zap: None,
            trapped: trapped == Some(true),
        };
        let mut episodes = self.episodes.iter_mut().rev();
        let refused = outcome == FaultOutcome::Refused;
        let mut tell = refused && self.refused.insert(region);
        if let Some(episode) = episodes.find(|episode| episode.holds(region, offset)) {
            episode.faults.add(begin_ns.max(episode.zap.time_ns), now);
            let about = episode.region(region);
            match outcome {
                FaultOutcome::Populated { bytes } => {
                    match bytes {
                        Some(bytes) => *about.pages.entry(bytes).or_default() += 1,
                        None => about.unsized_faults += 1,
                    }
                    episode.touch(event.task.pid, place.address, bytes.unwrap_or(0));
                    episode.zap.first_ns.get_or_insert(now);
                    episode.zap.last_ns = Some(now);
                }
                FaultOutcome::Refused => {
                    about.refused += 1;
                    episode.zap.refused_ns.get_or_insert(now);
                    // Refused after it was back: that is another matter.
                    if episode.zap.last_ns.is_none() {
                        tell = !std::mem::replace(&mut episode.told, true);
                        moment.zap = Some((episode.zap.cause, now - episode.zap.time_ns.min(now)));
                    }
                }
                FaultOutcome::Fallback | FaultOutcome::RefusedForDma | FaultOutcome::Other(_) => {}
            }
        }
        if tell {
            self.raise(desk, now, &[], access_refused(&moment));
        }
        if matches!(outcome, FaultOutcome::Populated { .. }) {
            self.refused.remove(&region);
        }
        self.end_episodes(desk, now, ZapEnd::Complete, Episode::whole);
    }

    /// The call of `tid` that zaps happened in returned.
    pub(super) fn zapped(&mut self, tid: u32) {
        for episode in &mut self.episodes {
            episode.calling &= episode.zap.task.tid != tid;
        }
    }

    /// The eventfd was signalled that wakes the device's user.
    pub(super) fn woken(&mut self, now: u64) {
        let asleep = |episode: &&mut Episode| {
            let zap = &episode.zap;
            let wakes = zap.cause == Cause::LowPowerEntryWithWakeup;
            wakes && zap.wakeup_ns.is_none() && zap.first_ns.is_none()
        };
        if let Some(episode) = self.episodes.iter_mut().rev().find(asleep) {
            episode.zap.wakeup_ns = Some(now);
        }
    }

    /// Zaps after which nothing came for long.
    pub(super) fn settle_episodes(&mut self, desk: &mut Desk, now: u64) {
        let stuck_ns = desk.options.stuck_ns;
        self.end_episodes(desk, now, ZapEnd::Quiet, |episode| {
            let last_ns = episode.zap.last_ns;
            last_ns.is_some_and(|ns| now.saturating_sub(ns) >= stuck_ns)
        });
    }

    /// Ends the zaps that `wanted` picks.
    pub(super) fn end_episodes(
        &mut self,
        desk: &mut Desk,
        now: u64,
        end: ZapEnd,
        wanted: impl Fn(&Episode) -> bool,
    ) {
        let mut at = 0;
        while let Some(episode) = self.episodes.get(at) {
            if wanted(episode) {
                let episode = self.episodes.remove(at);
                desk.zap(episode.finish(now, end));
            } else {
                at += 1;
            }
        }
    }
}

fn total(areas: &[Area]) -> u64 {
    areas
        .iter()
        .fold(0, |sum, area| sum.saturating_add(area.size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_parts_of_regions() {
        let bars = Range {
            regions: (0, 5),
            offset: 0,
            size: 6 << VFIO_PCI_OFFSET_SHIFT,
        };
        let whole = Area {
            offset: 0,
            size: 1 << VFIO_PCI_OFFSET_SHIFT,
        };
        assert_eq!(
            (bars.of(0), bars.of(5), bars.of(6)),
            (Some(whole), Some(whole), None)
        );
        let part = Range {
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
        let behind = Range {
            regions: (1, u32::MAX),
            offset: 0x1000,
            size: 0,
        };
        assert_eq!(behind.of(1).map(|area| area.offset), Some(0x1000));
        assert_eq!(behind.of(9), Some(whole));
    }
}
