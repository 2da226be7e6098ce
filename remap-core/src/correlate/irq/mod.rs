//! Interrupts of every IRQ index: signals of eventfds, their readers, and latencies.

mod vector;
mod verb;

use std::collections::BTreeMap;
use std::ops::Range;

use super::call::{LookedUp, Setting};
use super::moment::Moment;
use super::report::Reporter;
use super::rules::{never_read, request_ignored};
use remap_common::uapi::VFIO_PCI_NUM_IRQS;

use crate::event::{ContextKey, Errno, Role, Signal, Target};
use crate::model::{Interrupt, IrqChange, IrqName, IrqVerb};
use vector::Vector;
use verb::verb;

/// The reader of an eventfd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    /// A read by user space.
    User,
    /// The kernel itself: KVM's irqfd, or a virqfd.
    Kernel,
}

/// The eventfds of one device, by IRQ index and sub-index.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    vectors: BTreeMap<(u32, u32), Vector>,
    /// When the kernel asked the user to close the device, first.
    requested_ns: Option<u64>,
}

impl Interrupts {
    /// The kernel signals an eventfd; `software`: user space asked for that with `SET_IRQS`.
    pub(super) fn signal(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        signal: &Signal,
        (name, software): (IrqName, bool),
    ) {
        let target = signal.target;
        if target.role != Role::Trigger {
            return;
        }
        let stats = out.vector_stats((target.index, target.sub), name);
        stats.signals += 1;
        stats.software += u64::from(software);
        let vector = self.vectors.entry((target.index, target.sub)).or_default();
        vector.signal(now, (signal.addend, signal.count), signal.context);
        if !software {
            vector.asked_ns.get_or_insert(now);
        }
    }

    /// How much is stored ([`super::room`]): a vector keeps the times of its unread signals.
    pub(super) fn room(&self) -> usize {
        4 * self.vectors.len()
    }

    /// The kernel asks the user to close the device.
    pub(super) fn requested(&mut self, now: u64) {
        self.requested_ns.get_or_insert(now);
    }

    /// The counter of an eventfd was read, and had this value if that could be captured.
    pub(super) fn taken(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        (target, name): (Target, IrqName),
        value: Option<u64>,
        taker: Taker,
    ) {
        if target.role != Role::Trigger {
            return;
        }
        let vector = self.vectors.entry((target.index, target.sub)).or_default();
        let got = vector.take(value);
        let (taken, signal_ns) = (got.signals, got.first_ns);
        let stats = out.vector_stats((target.index, target.sub), name);
        match name {
            // Its value is no number of signals.
            IrqName::Remap | IrqName::Inferred => stats.incomplete |= got.missing > 0,
            _ => stats.missed = stats.missed.saturating_add(got.missing),
        }
        stats.incomplete |= got.unproven;
        stats.coalesced += taken.saturating_sub(1);
        match taker {
            Taker::Kernel => stats.consumed += 1,
            Taker::User => {
                stats.reads += 1;
                if let Some(ns) = signal_ns.and_then(|ns| at.ns.checked_sub(ns)) {
                    stats.latency.record(ns);
                    out.irq_stats(target.index, name).latency.record(ns);
                }
            }
        }
        let device = out.name();
        out.interrupt(Interrupt {
            device,
            index: target.index,
            name,
            sub: target.sub,
            signal_ns,
            time_ns: at.ns,
            signals: (taken > 0).then_some(taken),
            in_kernel: taker == Taker::Kernel,
            task: at.task.clone(),
        });
    }

    /// User space added to the counter of an eventfd.
    pub(super) fn written(&mut self, target: Target, value: Option<u64>) {
        if target.role == Role::Trigger
            && let Some(vector) = self.vectors.get_mut(&(target.index, target.sub))
        {
            vector.written(value);
        }
    }

    /// An eventfd was found to be enabled.
    pub(super) fn found(
        &mut self,
        out: &mut Reporter<'_>,
        (target, name): (Target, IrqName),
        context: ContextKey,
    ) {
        self.set(out, name, (target.index, target.sub), Some(context));
    }

    /// User space closed an eventfd for good.
    pub(super) fn released(
        &mut self,
        out: &mut Reporter<'_>,
        (target, name): (Target, IrqName),
        context: ContextKey,
    ) {
        let at = (target.index, target.sub);
        let vector = self.vectors.get(&at);
        if vector.is_some_and(|vector| vector.context() == Some(context)) {
            self.set(out, name, at, None);
        }
    }

    /// A `SET_IRQS` that began at `begin_ns` and looked up the eventfds `named` returned.
    pub(super) fn set_irqs(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        name: IrqName,
        setting: &Setting<'_>,
        returned: (u64, Result<(), Errno>),
    ) {
        let (begin_ns, result) = returned;
        let verb = verb(setting.action, setting.data, setting.count);
        let irq = out.irq_stats(setting.index, name);
        let calls = match result {
            Ok(()) => &mut irq.calls,
            Err(_) => &mut irq.failed,
        };
        *calls.entry(verb).or_default() += 1;
        let device = out.name();
        out.irq_change(IrqChange {
            device,
            time_ns: at.ns,
            begin_ns,
            index: setting.index,
            name,
            verb,
            start: setting.start,
            count: setting.count,
            result,
            task: at.task.clone(),
        });
        match (verb, result) {
            (IrqVerb::Enable | IrqVerb::Disable, Err(_)) => {
                // It may have set or removed some of them before it failed.
                for (_, vector) in self.range_mut(setting.index, setting.subs()) {
                    vector.lose();
                }
            }
            (IrqVerb::Disable, Ok(())) if setting.count == 0 => {
                self.clear(out, name, setting.index);
            }
            (IrqVerb::Enable | IrqVerb::Disable, Ok(())) => {
                self.set_named(out, name, setting);
            }
            _ => {}
        }
    }

    /// The eventfds of an IRQ index, by sub-index.
    pub(super) fn eventfds(&self, index: u32) -> BTreeMap<u32, ContextKey> {
        let vectors = self.vectors.range((index, 0)..=(index, u32::MAX));
        vectors
            .filter_map(|((_, sub), vector)| Some((*sub, vector.context()?)))
            .collect()
    }

    /// Whether eventfds are signalled and not read: the trace ends at `now`. `name` names an
    /// IRQ index.
    pub(super) fn judge(&self, out: &mut Reporter<'_>, now: u64, name: impl Fn(u32) -> IrqName) {
        if !out.options().sees_consumers {
            return;
        }
        let stuck_ns = out.options().stuck_ns;
        let stuck = |ns: &u64| now.saturating_sub(*ns) >= stuck_ns;
        let mut unread: BTreeMap<u32, Vec<(u32, u64)>> = BTreeMap::new();
        let mut signalled_ns = None;
        // A loss may hide the eventfd or its signal; so does an eventfd of two indexes.
        let mut may_be_signalled = out.device.lossy;
        for ((index, sub), vector) in &self.vectors {
            may_be_signalled |= name(*index) == IrqName::Req && vector.context().is_some();
            if vector.context().is_none() || vector.doubtful {
                continue;
            }
            match name(*index) {
                // Another rule covers a remap IRQ without an answer.
                IrqName::Remap | IrqName::Inferred => {}
                IrqName::Req => signalled_ns = signalled_ns.or(vector.asked_ns),
                _ => {
                    if let Some(ns) = vector.first_ns().filter(stuck) {
                        unread.entry(*index).or_default().push((*sub, ns));
                    }
                }
            }
        }
        for (index, vectors) in unread {
            let irq = name(index);
            out.finding(now, never_read(irq, &vectors, now));
        }
        let asked_ns = self.requested_ns.or(signalled_ns);
        if let Some(ns) = asked_ns.filter(stuck) {
            let signalled = match signalled_ns {
                Some(_) => Some(true),
                None => (!may_be_signalled).then_some(false),
            };
            out.finding(now, request_ignored(ns, now, signalled));
        }
    }

    /// Records of any kind were lost.
    pub(super) fn lose(&mut self, out: &mut Reporter<'_>, name: impl Fn(u32) -> IrqName) {
        self.lose_reads(out, name);
        // The device may have been closed since.
        self.requested_ns = None;
    }

    /// Reads of any eventfd were lost.
    pub(super) fn lose_reads(&mut self, out: &mut Reporter<'_>, name: impl Fn(u32) -> IrqName) {
        self.lose_of(out, name, |_| true);
    }

    /// Signals or reads of the interrupts that vfio-pci itself defines were lost.
    pub(super) fn lose_interrupts(
        &mut self,
        out: &mut Reporter<'_>,
        name: impl Fn(u32) -> IrqName,
    ) {
        self.lose_of(out, name, |index| index < VFIO_PCI_NUM_IRQS);
    }

    fn lose_of(
        &mut self,
        out: &mut Reporter<'_>,
        name: impl Fn(u32) -> IrqName,
        wanted: impl Fn(u32) -> bool,
    ) {
        for ((index, sub), vector) in &mut self.vectors {
            // A flood reports a loss after each event: what holds nothing any more costs nothing.
            if wanted(*index) && vector.context().is_some() && !vector.is_lost() {
                vector.lose();
                out.vector_stats((*index, *sub), name(*index)).incomplete = true;
            }
        }
    }

    /// Signals may have been lost; the next reads show whether.
    pub(super) fn lose_signals(&mut self) {
        self.vectors.values_mut().for_each(Vector::lose_signals);
    }

    /// Whether a signal of an IRQ index may be missing that no read has shown yet.
    pub(super) fn has_gap(&self, index: u32) -> bool {
        let mut vectors = self.vectors.range((index, 0)..=(index, u32::MAX));
        vectors.any(|(_, vector)| vector.has_gap())
    }

    /// The device was closed, or the trace ended: counts the unread signals.
    pub(super) fn close(&mut self, out: &mut Reporter<'_>, name: impl Fn(u32) -> IrqName) {
        self.requested_ns = None;
        for ((index, sub), vector) in std::mem::take(&mut self.vectors) {
            let had_gap = vector.has_gap();
            leave(out, (name(index), index, sub), had_gap, vector.unread());
        }
    }

    /// The sub-indexes that a call named have other eventfds from now on, or none.
    fn set_named(&mut self, out: &mut Reporter<'_>, name: IrqName, setting: &Setting<'_>) {
        let index = setting.index;
        for sub in setting.taken_away() {
            self.set(out, name, (index, sub), None);
        }
        let looked_up: BTreeMap<u32, ContextKey> = setting
            .eventfds
            .iter()
            .filter(|eventfd| eventfd.target.role == Role::Trigger)
            .filter(|eventfd| eventfd.target.index == index)
            .map(|LookedUp { target, context }| (target.sub, *context))
            .collect();
        for (sub, context) in looked_up {
            self.set(out, name, (index, sub), Some(context));
        }
    }

    /// Every sub-index of an IRQ index loses its eventfd.
    fn clear(&mut self, out: &mut Reporter<'_>, name: IrqName, index: u32) {
        let subs: Vec<u32> = self
            .range_mut(index, 0..u32::MAX)
            .map(|(sub, _)| sub)
            .collect();
        for sub in subs {
            self.set(out, name, (index, sub), None);
        }
    }

    /// A sub-index has another eventfd from now on, or none.
    fn set(
        &mut self,
        out: &mut Reporter<'_>,
        name: IrqName,
        (index, sub): (u32, u32),
        context: Option<ContextKey>,
    ) {
        if context.is_none() && !self.vectors.contains_key(&(index, sub)) {
            return;
        }
        let vector = self.vectors.entry((index, sub)).or_default();
        let had_gap = vector.has_gap();
        let unread = vector.set(context);
        leave(out, (name, index, sub), had_gap, unread);
    }

    fn range_mut(
        &mut self,
        index: u32,
        subs: Range<u32>,
    ) -> impl Iterator<Item = (u32, &mut Vector)> {
        let range = (index, subs.start)..(index, subs.end);
        let vectors = self.vectors.range_mut(range);
        vectors.map(|((_, sub), vector)| (*sub, vector))
    }
}

/// An eventfd is not a sub-index's any more; `unread` of its signals were not read.
fn leave(
    out: &mut Reporter<'_>,
    (name, index, sub): (IrqName, u32, u32),
    had_gap: bool,
    unread: u64,
) {
    if unread > 0 || had_gap {
        let stats = out.vector_stats((index, sub), name);
        stats.unread += unread;
        stats.incomplete |= had_gap;
    }
}
