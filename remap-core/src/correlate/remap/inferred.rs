//! Eventfds that are only inferred to be a device's, and the possible meanings of their signals.
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

/// How many signals of one eventfd are kept until they are read.
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

    /// Whether it names `region` by its bit. A 1 may also be a plain signal without a bitmap.
    fn has_bit(&self, region: u32) -> bool {
        self.addend != 1 && self.addend & 1_u64.checked_shl(region).unwrap_or(0) != 0
    }

    /// Whether it is a plain signal, without a known region.
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
    /// Its region, once that was unambiguous.
    region: Option<u32>,
    triggers: Vec<Trigger>,
}

/// The inferred eventfds of one device.
#[derive(Debug, Default)]
pub(super) struct InferredEventfds {
    by_context: BTreeMap<ContextKey, InferredEventfd>,
}

impl InferredEventfds {
    /// How much is stored ([`crate::correlate::room`]): signals until they are read.
    pub(super) fn room(&self) -> usize {
        let eventfds = self.by_context.values();
        eventfds.map(|eventfd| 16 + eventfd.triggers.len()).sum()
    }

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
        // Earlier signals were answered by now, or never will be.
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

    /// The process `pid` queried `region`; `before`: the facts about it until then. Returns the
    /// cycles of the signals that this may answer.
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

    /// The cycle of the plain signal that a query of `region` answers: that of the eventfd that
    /// belonged to this region before, or that of the first one that was read.
    fn claim_bare(
        &mut self,
        pid: u32,
        region: u32,
        before: Option<&Described>,
    ) -> Option<OpenCycle> {
        let bare = |trigger: &Trigger| trigger.is_bare() && trigger.awaits(pid, region);
        let answered = |trigger: &Trigger| trigger.addend == 1 && trigger.regions.contains(&region);
        let mut eventfds = self.by_context.values();
        // A user queries twice, first for the size of the answer.
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
