//! One device: what was learned about it, its open cycles, and what is said about them.

use std::collections::{BTreeMap, BTreeSet};

use remap_common::uapi::VFIO_IRQ_INFO_AUTOMASKED;

use super::UNKNOWN_DEVICE;
use super::activity::Tally;
use super::counter::Counter;
use super::episode::Episode;
use super::inferred::Guess;
use super::mapping::Mappings;
use super::open::Open;
use super::report::Desk;
use super::rule::{AT_CYCLE_END, AtCycleEnd, Found, judge};
use super::settle::Suspect;
use super::stay::OpenStay;
use super::transition::Change;
use super::vector::Vector;
use crate::event::{Call, ContextKey, DeviceState, Errno, Target};
use crate::model::{InFlightCall, Outcome, Rule, Stage, View};
use crate::parse::irq::{Encoding, IrqInfo, RemapIrq};
use crate::parse::region::Area;

/// The device state, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Known {
    #[default]
    Unknown,
    /// It was reset, or is open anew: running, in whichever number space is asked for.
    Running,
    State(DeviceState),
}

impl Known {
    pub(super) fn get(self, legacy: bool) -> Option<DeviceState> {
        match self {
            Self::Unknown => None,
            Self::Running if legacy => Some(DeviceState::Legacy(1)),
            Self::Running => Some(DeviceState::Running),
            Self::State(state) => Some(state),
        }
    }
}

/// A remap IRQ of the device.
#[derive(Clone, Debug)]
pub(super) struct Irq {
    pub(super) remap: RemapIrq,
    /// A sub-index masks itself when it is signalled.
    pub(super) automasked: bool,
    /// Sub-indexes that have an eventfd.
    pub(super) enabled: BTreeSet<u32>,
    /// Nothing was lost that could have enabled or disabled one.
    pub(super) enabled_certain: bool,
    /// The threads that ever read a sub-index's eventfd.
    pub(super) readers: BTreeMap<u32, BTreeSet<u32>>,
    /// The bitmap's counter.
    pub(super) counter: Counter,
    /// The eventfd of that counter.
    pub(super) context: Option<ContextKey>,
    /// The eventfd of a call that has not returned, and its counter.
    pub(super) next: Option<(ContextKey, Counter)>,
}

impl Irq {
    pub(super) fn new(info: &IrqInfo, remap: RemapIrq) -> Self {
        Self {
            remap,
            automasked: info.flags & VFIO_IRQ_INFO_AUTOMASKED != 0,
            enabled: BTreeSet::new(),
            enabled_certain: true,
            readers: BTreeMap::new(),
            counter: Counter::new(),
            context: None,
            next: None,
        }
    }

    /// The counter of an eventfd: the one that counts, or the one of a call under way.
    pub(super) fn counter_of(&mut self, context: ContextKey) -> &mut Counter {
        match &mut self.next {
            Some((next, counter)) if *next == context && self.context != Some(context) => counter,
            _ => &mut self.counter,
        }
    }

    /// The call that gave an eventfd has succeeded, or it was found to be the IRQ's. One that
    /// is given again goes on counting.
    pub(super) fn counts_on(&mut self, context: ContextKey) {
        let next = self.next.take().filter(|(next, _)| *next == context);
        if self.context != Some(context) {
            self.context = Some(context);
            self.counter = next.map_or_else(Counter::new, |(_, counter)| counter);
        }
    }

    /// Whether a second signal must wait for the ack of the first.
    pub(super) fn holds_back(&self) -> bool {
        self.remap.encoding == Encoding::Bitmap || self.automasked
    }

    /// Whether every sub-index that the driver may signal has an eventfd; `None` after a loss.
    pub(super) fn is_enabled(&self) -> Option<bool> {
        if !self.enabled_certain {
            return None;
        }
        Some(match (self.remap.encoding, self.remap.mask) {
            (Encoding::Vectors, Some(mask)) => (0..64)
                .filter(|bit| mask & (1 << bit) != 0)
                .all(|sub| self.enabled.contains(&sub)),
            _ => !self.enabled.is_empty(),
        })
    }
}

/// The sub-index that carries `region`.
pub(super) fn sub_of(remap: RemapIrq, region: u32) -> u32 {
    match remap.encoding {
        Encoding::Bitmap => 0,
        Encoding::Vectors => region.saturating_sub(remap.base),
    }
}

/// What was learned about a region.
#[derive(Clone, Debug, Default)]
pub(super) struct RegionFacts {
    /// Its last description, and when.
    pub(super) view: Option<(View, u64)>,
    /// Its size at first.
    pub(super) size: Option<u64>,
    /// The deviating size that was reported.
    pub(super) reported_size: Option<u64>,
    /// When the driver last named it.
    pub(super) named_ns: Option<u64>,
    /// A state change that named it failed: the driver names it once more.
    pub(super) given_back: bool,
    /// The last description had a stale sparse capability.
    pub(super) stale: bool,
    /// Type and subtype; they never change.
    pub(super) kind: Option<(u32, u32)>,
    /// The last description was malformed in this way.
    pub(super) malformed: Option<String>,
}

/// A state change that failed, and nobody has found out where that left the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedChange {
    pub(super) to: Option<DeviceState>,
    pub(super) errno: Errno,
    pub(super) end_ns: u64,
}

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    /// The kernel driver that it is bound to.
    pub(super) driver: Option<String>,
    /// It was open before the trace.
    pub(super) found: bool,
    /// The processes that were seen to use it.
    pub(super) users: BTreeSet<u32>,
    /// Calls under way, by thread.
    pub(super) calls: BTreeMap<u32, Call>,
    /// Calls that were under way when the trace began, by thread.
    pub(super) early: BTreeMap<u32, InFlightCall>,
    /// Eventfds that a `SET_IRQS` under way has looked up, by thread.
    pub(super) candidates: BTreeMap<u32, Vec<(Target, ContextKey)>>,
    /// Every eventfd that is signalled, by IRQ index and sub-index.
    pub(super) vectors: BTreeMap<(u32, u32), Vector>,
    /// Eventfds that are inferred to be the device's.
    pub(super) guesses: BTreeMap<ContextKey, Guess>,
    /// Somebody has asked for an IRQ index beyond those of vfio-pci.
    pub(super) asked: bool,
    /// Zaps that are not over.
    pub(super) episodes: Vec<Episode>,
    /// Regions of which the last access was refused.
    pub(super) refused: BTreeSet<u32>,
    /// `VFIO_MIGRATION_*` flags.
    pub(super) flags: Option<u64>,
    /// Whether its migration is the legacy protocol; `None` until a state was seen.
    pub(super) legacy: Option<bool>,
    /// Cycles that were acknowledged just now: the region, what it may have mapped, and the
    /// process that says so.
    pub(super) acked: Vec<(u32, Vec<Area>, u32)>,
    /// The stay in the present state, as far as it is known.
    pub(super) stay: Option<OpenStay>,
    /// What happened while the state was not known.
    pub(super) unknown: Tally,
    pub(super) failed: Option<FailedChange>,
    /// When STOP_COPY was left with data unread, and how many bytes had been read.
    pub(super) data_left: Option<(u64, u64)>,
    /// Records were lost since it was opened, or found.
    pub(super) lossy: bool,
    pub(super) irqs: BTreeMap<u32, Irq>,
    pub(super) regions: BTreeMap<u32, RegionFacts>,
    pub(super) mappings: Mappings,
    pub(super) state: Known,
    /// State changes in flight.
    pub(super) changes: Vec<Change>,
    /// State changes that returned, until they settle, and when that is.
    pub(super) closing: Vec<(u64, Change)>,
    /// When the last state change began.
    pub(super) last_change_ns: Option<u64>,
    pub(super) cycles: Vec<Open>,
    pub(super) suspects: Vec<Suspect>,
    /// The last malformed description of each IRQ index.
    pub(super) malformed_irqs: BTreeMap<u32, String>,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            name: UNKNOWN_DEVICE.to_owned(),
            driver: None,
            found: false,
            users: BTreeSet::new(),
            calls: BTreeMap::new(),
            early: BTreeMap::new(),
            candidates: BTreeMap::new(),
            vectors: BTreeMap::new(),
            guesses: BTreeMap::new(),
            asked: false,
            episodes: Vec::new(),
            refused: BTreeSet::new(),
            flags: None,
            legacy: None,
            acked: Vec::new(),
            stay: None,
            unknown: Tally::default(),
            failed: None,
            data_left: None,
            lossy: false,
            irqs: BTreeMap::new(),
            regions: BTreeMap::new(),
            mappings: Mappings::default(),
            state: Known::Unknown,
            changes: Vec::new(),
            closing: Vec::new(),
            last_change_ns: None,
            cycles: Vec::new(),
            suspects: Vec::new(),
            malformed_irqs: BTreeMap::new(),
        }
    }
}

impl Device {
    /// Reports a finding about the open cycles in `about` (places in the list), unless one of
    /// them is explained already or records were lost while it was open.
    pub(super) fn raise(
        &mut self,
        desk: &mut Desk,
        now: u64,
        about: &[usize],
        (rule, found): (Rule, Found),
    ) {
        let cycles = || about.iter().filter_map(|at| self.cycles.get(*at));
        if cycles().any(|cycle| cycle.lossy || cycle.blamed) {
            self.blame(about);
            return;
        }
        let trigger_id = cycles().map(|cycle| cycle.trigger_id).min();
        desk.finding(now, &self.name, rule, found, trigger_id);
        self.blame(about);
    }

    /// Whatever else goes wrong in these cycles is explained.
    pub(super) fn blame(&mut self, about: &[usize]) {
        for at in about {
            if let Some(cycle) = self.cycles.get_mut(*at) {
                cycle.blamed = true;
            }
        }
    }

    /// The places of the open cycles that `wanted` picks.
    pub(super) fn places(&self, wanted: impl Fn(&Open) -> bool) -> Vec<usize> {
        self.cycles
            .iter()
            .enumerate()
            .filter(|(_, cycle)| wanted(cycle))
            .map(|(at, _)| at)
            .collect()
    }

    /// Marks `stage` of the cycle at `at` and says so.
    pub(super) fn observed(&self, desk: &mut Desk, at: usize, stage: Stage) {
        if let Some(cycle) = self.cycles.get(at)
            && let Some(stamp) = cycle.stages.get(stage)
        {
            desk.stage(
                &self.name,
                cycle.region,
                cycle.trigger_id,
                stage,
                stamp.ns,
                &stamp.task,
            );
        }
    }

    /// Ends every cycle that the driver has released and that waits for nothing more.
    pub(super) fn sweep(&mut self, desk: &mut Desk, now: u64) {
        let mut at = 0;
        while let Some(cycle) = self.cycles.get_mut(at) {
            if !cycle.released() {
                at += 1;
                continue;
            }
            let explained = cycle.lossy || cycle.blamed;
            if !explained && cycle.wants_map(&self.mappings) {
                let due = *cycle.due.get_or_insert(desk.settled(now));
                if now < due {
                    at += 1;
                    continue;
                }
            }
            let moment = AtCycleEnd {
                region: cycle.region,
                unchanged: cycle.unchanged(),
                comparable: cycle.comparable && cycle.again_ns.is_none(),
            };
            if let Some(verdict) = judge(AT_CYCLE_END, &moment) {
                self.raise(desk, now, &[at], verdict);
            }
            let cycle = self.take(at);
            desk.cycle(now, cycle.complete(&self.name, &self.mappings));
        }
    }

    /// Ends the cycles that `wanted` picks.
    pub(super) fn cut(
        &mut self,
        desk: &mut Desk,
        now: u64,
        outcome: Outcome,
        reason: &str,
        wanted: impl Fn(&Open) -> bool,
    ) {
        let mut at = 0;
        while let Some(cycle) = self.cycles.get(at) {
            if wanted(cycle) {
                let cycle = self.take(at);
                desk.cycle(now, cycle.cut(&self.name, &self.mappings, outcome, reason));
            } else {
                at += 1;
            }
        }
    }

    /// Takes an open cycle out; its state change remembers what it waited for.
    fn take(&mut self, at: usize) -> Open {
        let cycle = self.cycles.remove(at);
        if let Some(reference) = cycle.transition {
            let closing = self.closing.iter_mut().map(|(_, change)| change);
            for change in self.changes.iter_mut().chain(closing) {
                if change.id != reference.id {
                    continue;
                }
                if cycle.awaited {
                    change.waits.push(cycle.wait());
                }
                change.blamed |= cycle.blamed;
                change.lossy |= cycle.lossy;
            }
        }
        cycle
    }
}
