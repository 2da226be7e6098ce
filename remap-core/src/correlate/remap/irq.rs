//! A remap IRQ: its description, and the enabled sub-indexes.

use std::collections::{BTreeMap, BTreeSet};

use remap_common::uapi::VFIO_IRQ_INFO_AUTOMASKED;

use super::counter::Counter;
use crate::event::ContextKey;
use crate::parse::irq::{Encoding, IrqInfo, RemapIrq};

/// A remap IRQ of the device.
#[derive(Clone, Debug)]
pub(super) struct Irq {
    /// The contents of its capability.
    pub(super) remap: RemapIrq,
    /// A sub-index is masked automatically when it is signalled (AUTOMASKED).
    automasked: bool,
    /// Sub-indexes that have an eventfd.
    enabled: BTreeSet<u32>,
    /// No record was lost that could have enabled or disabled one.
    enabled_certain: bool,
    /// The threads that ever read a sub-index's eventfd.
    readers: BTreeMap<u32, BTreeSet<u32>>,
    /// The bitmap's counter.
    counter: Counter,
    /// The eventfd of that counter.
    context: Option<ContextKey>,
    /// The eventfd of a call that has not returned, and its counter.
    next: Option<(ContextKey, Counter)>,
}

impl Irq {
    /// How much is stored ([`crate::correlate::room`]).
    pub(super) fn room(&self) -> usize {
        let next = self.next.as_ref().map_or(0, |(_, counter)| counter.room());
        let readers: usize = self.readers.values().map(BTreeSet::len).sum();
        let subs = self.enabled.len() + readers;
        4 + subs / 2 + self.counter.room() + next
    }

    /// Whether no read waits to be explained.
    pub(super) fn is_quiet(&self) -> bool {
        let next = self.next.as_ref();
        self.counter.is_quiet() && next.is_none_or(|(_, counter)| counter.is_quiet())
    }

    /// An IRQ that is described for the first time. It may have been enabled, or found enabled,
    /// before: `eventfds`, which are all `certain`ly known.
    pub(super) fn new(
        info: &IrqInfo,
        remap: RemapIrq,
        eventfds: &BTreeMap<u32, ContextKey>,
        certain: bool,
    ) -> Self {
        Self {
            remap,
            automasked: info.flags & VFIO_IRQ_INFO_AUTOMASKED != 0,
            enabled: eventfds.keys().copied().collect(),
            enabled_certain: certain,
            readers: BTreeMap::new(),
            counter: Counter::new(),
            context: eventfds.values().last().copied(),
            next: None,
        }
    }

    /// It is described again.
    pub(super) fn described(&mut self, info: &IrqInfo, remap: RemapIrq) {
        self.remap = remap;
        self.automasked = info.flags & VFIO_IRQ_INFO_AUTOMASKED != 0;
    }

    /// The sub-index that carries `region`.
    pub(super) fn sub_of(&self, region: u32) -> u32 {
        match self.remap.encoding {
            Encoding::Bitmap => 0,
            Encoding::Vectors => region.saturating_sub(self.remap.base),
        }
    }

    /// The counter of an eventfd: the one that counts, or the one of a call in flight.
    pub(super) fn counter_of(&mut self, context: ContextKey) -> &mut Counter {
        match &mut self.next {
            Some((next, counter)) if *next == context && self.context != Some(context) => counter,
            _ => &mut self.counter,
        }
    }

    /// The counter that counts.
    pub(super) fn counter(&mut self) -> &mut Counter {
        &mut self.counter
    }

    /// Whether the last read got user space's own write, and no trigger with it.
    pub(super) fn woke_falsely(&self) -> bool {
        self.counter.false_wake
    }

    /// A call in flight has looked up an eventfd.
    pub(super) fn looked_up(&mut self, context: ContextKey) {
        self.next = Some((context, Counter::new()));
    }

    /// The call that set the eventfd of a sub-index has succeeded, or the eventfd was found set. An
    /// eventfd that is set again keeps its counter.
    pub(super) fn enable(&mut self, sub: u32, context: Option<ContextKey>) {
        self.enabled.insert(sub);
        let Some(context) = context else {
            return;
        };
        let next = self.next.take().filter(|(next, _)| *next == context);
        if self.context != Some(context) {
            self.context = Some(context);
            self.counter = next.map_or_else(Counter::new, |(_, counter)| counter);
        }
    }

    /// A call to enable or disable sub-indexes failed; it may have set some of them.
    pub(super) fn set_failed(&mut self) {
        self.enabled_certain = false;
        self.next = None;
    }

    /// A sub-index lost its eventfd.
    pub(super) fn disable(&mut self, sub: u32) {
        self.enabled.remove(&sub);
    }

    /// Every sub-index lost its eventfd.
    pub(super) fn disable_all(&mut self) {
        self.enabled.clear();
        self.enabled_certain = true;
        self.context = None;
    }

    /// User space closed an eventfd for good.
    pub(super) fn eventfd_closed(&mut self, context: ContextKey) {
        self.context.take_if(|known| *known == context);
    }

    /// A thread reads the eventfd of a sub-index.
    pub(super) fn read_by(&mut self, sub: u32, tid: u32) {
        self.readers.entry(sub).or_default().insert(tid);
    }

    /// A sub-index has another eventfd, which may have other readers.
    pub(super) fn forget_readers(&mut self, sub: u32) {
        self.readers.remove(&sub);
    }

    /// The threads that ever read the eventfd that carries `region`.
    pub(super) fn readers_of(&self, region: u32) -> Vec<u32> {
        let readers = self.readers.get(&self.sub_of(region));
        readers.into_iter().flatten().copied().collect()
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

    /// Signals may have been lost.
    pub(super) fn lose_signals(&mut self) {
        self.counter.lose_signals();
        if let Some((_, counter)) = &mut self.next {
            counter.lose_signals();
        }
    }

    /// Records were lost.
    pub(super) fn lose(&mut self) {
        self.counter.lose();
        self.next = None;
        self.readers.clear();
        self.enabled_certain = false;
    }
}
