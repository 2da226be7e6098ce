//! Eventfds that are only inferred to be a device's: what their signals can mean.
//!
//! Neither the IRQ's index nor its encoding is known. A signal becomes a cycle when its reader asks
//! for the description of a region that the counter can name; no finding is made of it.

use std::collections::{BTreeMap, BTreeSet};

use super::open_cycle::{self, OpenCycle};
use crate::correlate::moment::Moment;
use crate::correlate::queue::Ids;
use crate::correlate::region::Described;
use crate::event::{ContextKey, Origin, Signal, UNKNOWN_INDEX};
use crate::model::{Stamp, TransitionRef};
use crate::parse::irq::Encoding;

/// How many signals of one eventfd wait for their reader.
const WAITING: usize = 64;

/// A signal of such an eventfd.
#[derive(Clone, Debug)]
struct Trigger {
    id: u64,
    signal: Stamp,
    addend: u64,
    transition: Option<TransitionRef>,
    wake: Option<Stamp>,
    /// The regions that became a cycle.
    regions: BTreeSet<u32>,
}

impl Trigger {
    /// Whether `pid` has read it, and has not asked for `region` because of it.
    fn awaits(&self, pid: u32, region: u32) -> bool {
        let woke = self.wake.as_ref().is_some_and(|wake| wake.task.pid == pid);
        woke && !self.regions.contains(&region)
    }

    /// Whether it names `region` by its bit. A 1 may also mean no more than that there was a
    /// signal.
    fn has_bit(&self, region: u32) -> bool {
        self.addend != 1 && self.addend & 1_u64.checked_shl(region).unwrap_or(0) != 0
    }

    /// Whether it only means that there was a signal, and no region is known for it.
    fn is_bare(&self) -> bool {
        self.addend == 1 && self.regions.is_empty()
    }

    /// Its cycle for `region`.
    fn open(
        &mut self,
        origin: Origin,
        region: u32,
        before: Option<&Described>,
    ) -> Option<OpenCycle> {
        self.regions.insert(region);
        let wake = self.wake.as_ref()?;
        let trigger = open_cycle::Trigger {
            irq_index: UNKNOWN_INDEX,
            encoding: Encoding::Vectors,
            region,
            id: self.id,
            ns: self.signal.ns,
        };
        let mut cycle = OpenCycle::new(trigger, &self.signal.task, before);
        cycle.origin = origin;
        cycle.transition = self.transition;
        cycle.awaited = self.transition.is_some();
        cycle.explained = true;
        cycle.wake(wake.ns, &wake.task);
        Some(cycle)
    }
}

/// Such an eventfd.
#[derive(Clone, Debug)]
struct InferredEventfd {
    origin: Origin,
    /// The region that it is for, where that was beyond doubt once.
    region: Option<u32>,
    triggers: Vec<Trigger>,
}

/// The inferred eventfds of one device.
#[derive(Debug, Default)]
pub(super) struct InferredEventfds {
    by_context: BTreeMap<ContextKey, InferredEventfd>,
}

impl InferredEventfds {
    pub(super) fn is_empty(&self) -> bool {
        self.by_context.is_empty()
    }

    /// An eventfd is inferred to be the device's.
    pub(super) fn infer(&mut self, context: ContextKey, origin: Origin) {
        let eventfd = InferredEventfd {
            origin,
            region: None,
            triggers: Vec::new(),
        };
        self.by_context.insert(context, eventfd);
    }

    /// One is signalled.
    pub(super) fn signal(
        &mut self,
        ids: &mut Ids,
        at: Moment<'_>,
        signal: &Signal,
        transition: Option<TransitionRef>,
    ) {
        let Some(eventfd) = self.by_context.get_mut(&signal.context) else {
            return;
        };
        if eventfd.triggers.len() >= WAITING {
            eventfd.triggers.remove(0);
        }
        eventfd.triggers.push(Trigger {
            id: ids.next_trigger(),
            signal: at.stamp(),
            addend: signal.addend,
            transition,
            wake: None,
            regions: BTreeSet::new(),
        });
    }

    /// One is read.
    pub(super) fn read(&mut self, at: Moment<'_>, context: ContextKey) {
        let Some(eventfd) = self.by_context.get_mut(&context) else {
            return;
        };
        // What was read before was answered by now, or never will be.
        eventfd.triggers.retain(|trigger| trigger.wake.is_none());
        for trigger in &mut eventfd.triggers {
            trigger.wake = Some(at.stamp());
        }
    }

    /// One was closed for good.
    pub(super) fn close(&mut self, context: ContextKey) {
        self.by_context.remove(&context);
    }

    /// Records were lost.
    pub(super) fn lose(&mut self) {
        for eventfd in self.by_context.values_mut() {
            eventfd.triggers.clear();
        }
    }

    /// The process `pid` asked for the description of `region`, of which `before` was known: the
    /// cycles of the signals that this can be the answer to.
    pub(super) fn claim(
        &mut self,
        pid: u32,
        region: u32,
        before: Option<&Described>,
    ) -> Vec<OpenCycle> {
        let mut opened = Vec::new();
        for eventfd in self.by_context.values_mut() {
            for trigger in &mut eventfd.triggers {
                if trigger.awaits(pid, region) && trigger.has_bit(region) {
                    opened.extend(trigger.open(eventfd.origin, region, before));
                }
            }
        }
        opened.extend(self.claim_bare(pid, region, before));
        opened
    }

    /// The cycle of the signal without a region that the description of `region` is the answer to:
    /// of the eventfd that was for this region before, or the one that was read first.
    fn claim_bare(
        &mut self,
        pid: u32,
        region: u32,
        before: Option<&Described>,
    ) -> Option<OpenCycle> {
        let bare = |trigger: &Trigger| trigger.is_bare() && trigger.awaits(pid, region);
        let answered = |trigger: &Trigger| trigger.addend == 1 && trigger.regions.contains(&region);
        let mut eventfds = self.by_context.values();
        // It is asked for twice, the first time for the size of the answer.
        if eventfds.any(|eventfd| eventfd.triggers.iter().any(answered)) {
            return None;
        }
        let mut waiting: Vec<(bool, u64, ContextKey)> = self
            .by_context
            .iter()
            .filter(|(_, eventfd)| eventfd.region.is_none_or(|known| known == region))
            .filter_map(|(context, eventfd)| {
                let trigger = eventfd.triggers.iter().find(|trigger| bare(trigger))?;
                let wake_ns = trigger.wake.as_ref()?.ns;
                Some((eventfd.region.is_none(), wake_ns, *context))
            })
            .collect();
        waiting.sort_unstable();
        let (_, _, context) = waiting.first()?;
        let eventfd = self.by_context.get_mut(context)?;
        if waiting.len() == 1 {
            eventfd.region = Some(region);
        }
        let trigger = eventfd.triggers.iter_mut().find(|trigger| bare(trigger))?;
        trigger.open(eventfd.origin, region, before)
    }
}
