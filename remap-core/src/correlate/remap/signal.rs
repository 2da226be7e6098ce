//! The eventfds of a remap IRQ: triggers, wakes and the writes that acknowledge.

use super::Remap;
use super::counter::Reading;
use super::facts::TriggerFacts;
use super::observed_ack::{ObservedAck, one};
use super::open_cycle::{Cut, OpenCycle, Trigger};
use crate::correlate::mapping::LiveMappings;
use crate::correlate::moment::Moment;
use crate::correlate::report::Reporter;
use crate::correlate::rules::{AT_READ, AT_TRIGGER, AtRead, AtTrigger, Misread, judge};
use crate::event::{ContextKey, Errno, Role, Signal, Target, UNKNOWN_INDEX, Write};
use crate::model::{Ack, AckForm, Outcome, Reason, Stage};
use crate::parse::irq::Encoding;

/// How many cycles of one region may be open: limits memory if no thread reads the IRQ.
const OPEN_PER_REGION: usize = 64;

impl Remap {
    /// The kernel signals an eventfd.
    pub(in crate::correlate) fn signal(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        signal: &Signal,
        facts: &TriggerFacts<'_>,
    ) {
        let target = signal.target;
        if target.role == Role::Wakeup {
            return;
        }
        if target.index == UNKNOWN_INDEX {
            let change = facts.change.map(|change| change.reference);
            self.inferred.signal(out.ids(), at, signal, change);
            return;
        }
        let Some(irq) = self.irqs.get_mut(&target.index) else {
            return;
        };
        let id = out.ids().next_trigger();
        let remap = irq.remap;
        let bits: Vec<u32> = match remap.encoding {
            Encoding::Bitmap => {
                let counter = irq.counter_of(signal.context);
                counter.signal(id, signal.addend, signal.count);
                let bits = 0..u64::BITS;
                bits.filter(|bit| signal.addend & (1 << bit) != 0).collect()
            }
            Encoding::Vectors => vec![target.sub],
        };
        for bit in bits {
            let region = remap.base.saturating_add(bit);
            let trigger = Trigger {
                irq_index: target.index,
                encoding: remap.encoding,
                region,
                id,
                ns: at.ns,
            };
            self.trigger(out, at, trigger, facts, &AtTrigger { remap, bit, region });
        }
    }

    /// A cycle begins.
    fn trigger(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        trigger: Trigger,
        facts: &TriggerFacts<'_>,
        named: &AtTrigger,
    ) {
        let region = trigger.region;
        self.supersede(out, at.ns, &trigger, facts.live);
        let mut cycle = OpenCycle::new(trigger, at.task, facts.regions.last(region));
        if let Some(change) = facts.change {
            let id = change.reference.id;
            cycle.transition = Some(change.reference);
            cycle.lossy = change.lossy;
            // Named twice in one state change, with an ack in between: the driver gives it back.
            let answered = |cycle: &OpenCycle| {
                cycle.inside(id) && cycle.trigger.region == region && cycle.acked()
            };
            cycle.awaited = !self.cycles.any(answered);
            cycle.comparable = cycle.awaited;
        }
        let history = self.named.entry(region).or_default();
        cycle.comparable &= !std::mem::take(&mut history.given_back);
        // Named before, and not described since: its earlier description is not known.
        let last_ns = history.last_ns.replace(at.ns);
        cycle.comparable &= last_ns.is_none_or(|ns| cycle.before_ns() > Some(ns));
        let id = self.cycles.open(cycle);
        self.cycles.observed(out, id, Stage::Trigger);
        if let Some(verdict) = judge(AT_TRIGGER, named) {
            self.cycles.report(out, at.ns, &[id], verdict);
        }
    }

    /// The region is signalled again: the effect on its open cycles.
    fn supersede(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        trigger: &Trigger,
        live: &LiveMappings,
    ) {
        let (index, region) = (trigger.irq_index, trigger.region);
        let same = move |cycle: &OpenCycle| {
            let other = &cycle.trigger;
            (other.irq_index, other.region) == (index, region) && !cycle.acked()
        };
        // After a loss, their ack may have been lost.
        let lost = Cut {
            outcome: Outcome::Incomplete,
            reason: Reason::RecordsLost,
        };
        let lossy = move |cycle: &OpenCycle| same(cycle) && cycle.lossy;
        self.cycles.cut(out, now, live, lost, lossy);
        let mut open = 0;
        let mut oldest = None;
        for cycle in self.cycles.iter_mut().filter(|cycle| same(cycle)) {
            cycle.again_ns.get_or_insert(now);
            oldest.get_or_insert(cycle.trigger.id);
            open += 1;
        }
        if open >= OPEN_PER_REGION {
            let cut = Cut {
                outcome: Outcome::Unacked,
                reason: Reason::SignalledAgain,
            };
            self.cycles.cut(out, now, live, cut, move |cycle| {
                same(cycle) && Some(cycle.trigger.id) == oldest
            });
        }
    }

    /// User space tried to read an eventfd, and got `value` if that succeeded and could be read.
    pub(in crate::correlate) fn read(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        (context, target): (ContextKey, Target),
        value: Result<Option<u64>, Errno>,
    ) {
        if target.role != Role::Trigger {
            return;
        }
        let index = target.index;
        if index == UNKNOWN_INDEX && value.is_ok() {
            self.inferred.read(at, context);
        }
        let Some(irq) = self.irqs.get_mut(&index) else {
            return;
        };
        irq.read_by(target.sub, at.task.tid);
        let (encoding, base) = (irq.remap.encoding, irq.remap.base);
        let reading = value.ok().map(|value| {
            let counter = irq.counter_of(context);
            let expired = counter.expired(u64::MAX);
            let bitmap = encoding == Encoding::Bitmap;
            (expired, bitmap.then(|| counter.read(at.ns, value)))
        });
        self.resolve_pending(out, index, at.task.tid);
        let Some((expired, reading)) = reading else {
            return;
        };
        if let Some(misread) = expired {
            self.misread(out, at.ns, (index, base), (misread, false));
        }
        let region = base.saturating_add(target.sub);
        self.wake(out, at, index, |trigger| match &reading {
            Some(reading) => reading.ids().contains(&trigger.id),
            None => trigger.region == region,
        });
        match reading {
            // A write that explains it may still come.
            None | Some(Reading::Clean { .. } | Reading::Doubtful(_)) => {}
            Some(Reading::Aliased(misread)) => {
                self.misread(out, at.ns, (index, base), (misread, false));
            }
            Some(Reading::Own(misread)) => {
                self.misread(out, at.ns, (index, base), (misread, true));
            }
        }
    }

    /// A read got the triggers that `wanted` selects.
    fn wake(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        index: u32,
        wanted: impl Fn(&Trigger) -> bool,
    ) {
        let asleep = self.cycles.ids(|cycle| {
            let trigger = &cycle.trigger;
            trigger.irq_index == index && !cycle.woke() && !cycle.acked() && wanted(trigger)
        });
        for id in asleep {
            if let Some(cycle) = self.cycles.get_mut(id) {
                cycle.wake(at.ns, at.task);
            }
            self.cycles.observed(out, id, Stage::Wake);
        }
    }

    /// Judges a read with a value that is not the OR of the driver's signals; `own`: it contains a
    /// value that user space wrote itself.
    fn misread(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        (index, base): (u32, u32),
        (misread, own): (Misread, bool),
    ) {
        let about = self.cycles.ids(|cycle| {
            let trigger = &cycle.trigger;
            trigger.irq_index == index && misread.ids.contains(&trigger.id)
        });
        let facts = AtRead { misread, own, base };
        if let Some(verdict) = judge(AT_READ, &facts) {
            self.cycles.report(out, now, &about, verdict);
        }
    }

    /// Judges the reads that no write has explained in time.
    pub(in crate::correlate) fn expire_reads(&mut self, out: &mut Reporter<'_>, now: u64) {
        let until_ns = now.saturating_sub(out.options().settle_ns);
        let irqs = self.irqs.iter_mut();
        let expired: Vec<(u32, u32, Misread)> = irqs
            .filter_map(|(index, irq)| {
                let misread = irq.counter().expired(until_ns)?;
                Some((*index, irq.remap.base, misread))
            })
            .collect();
        for (index, base, misread) in expired {
            self.misread(out, now, (index, base), (misread, false));
        }
    }

    /// User space wrote an eventfd.
    pub(in crate::correlate) fn write(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        write: &Write,
        live: &LiveMappings,
    ) {
        let &Write {
            context,
            target,
            begin_ns,
            value,
            ..
        } = write;
        if target.role == Role::Wakeup {
            return;
        }
        if target.index == UNKNOWN_INDEX {
            let form = AckForm::Write;
            let ack = (Ack { form, value }, begin_ns, None);
            self.acknowledge_inferred(out, at, ack, live);
            return;
        }
        let Some(irq) = self.irqs.get_mut(&target.index) else {
            return;
        };
        let (encoding, base) = (irq.remap.encoding, irq.remap.base);
        let form = match (target.role, encoding) {
            (Role::Trigger, Encoding::Bitmap) => {
                if let Some(misread) = irq.counter_of(context).write(begin_ns, value) {
                    self.misread(out, at.ns, (target.index, base), (misread, true));
                }
                AckForm::Write
            }
            (Role::Unmask, _) => AckForm::Unmask,
            // The driver ignores it: a vector is acknowledged by an unmask.
            (Role::Trigger, Encoding::Vectors) | (Role::Mask | Role::Wakeup, _) => return,
        };
        let acked = ObservedAck {
            index: target.index,
            subs: Some(one(target.sub)),
            ack: Ack { form, value },
            begin_ns,
            at,
        };
        self.acknowledge(out, &acked, live);
    }
}
