//! The eventfds of a remap IRQ: triggers, wakes and acks.

use std::ops::Range;

use super::ack::Acked;
use super::counter::{Counter, Misread, Reading};
use super::device::{Device, sub_of};
use super::open::Open;
use super::report::Desk;
use super::rule::{AT_READ, AT_TRIGGER, AtRead, AtTrigger, judge};
use super::transition::Change;
use crate::event::{ContextKey, Event, Origin, Role, Target, Task, UNKNOWN_INDEX};
use crate::model::{Ack, AckForm, Outcome, Stage};
use crate::parse::irq::Encoding;

/// How many cycles of one region may be open: an IRQ that nobody reads is no reason to grow.
const OPEN_PER_REGION: usize = 64;

/// Sub-indexes that lost their eventfd.
pub(super) struct CutOff {
    pub(super) index: u32,
    /// Which; `None` for all.
    pub(super) subs: Option<Range<u32>>,
    /// Only what was signalled until then (CLOCK_MONOTONIC ns).
    pub(super) before_ns: u64,
    pub(super) reason: &'static str,
}

impl Device {
    /// An eventfd was looked up inside a `SET_IRQS`, which may still fail; or it was found, or is
    /// inferred.
    pub(super) fn context(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        target: Target,
        context: ContextKey,
        origin: Origin,
    ) {
        if target.role == Role::Wakeup {
            return;
        }
        match origin {
            Origin::Seen => {
                let named = self.candidates.entry(event.task.tid).or_default();
                named.push((target, context));
                if target.role == Role::Trigger
                    && let Some(irq) = self.irqs.get_mut(&target.index)
                {
                    irq.next = Some((context, Counter::new()));
                }
            }
            Origin::Found if target.role == Role::Trigger => {
                self.set_vector(desk, target.index, target.sub, Some(context));
                if let Some(irq) = self.irqs.get_mut(&target.index) {
                    irq.enabled.insert(target.sub);
                    irq.counts_on(context);
                }
            }
            Origin::Found => {}
            Origin::SignalledInside | Origin::ReadBeforeRequery | Origin::StateWritten => {
                self.infer(desk, event, context, origin);
            }
        }
    }

    /// The kernel signals an eventfd.
    pub(super) fn signal(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        (context, target): (ContextKey, Target),
        addend: u64,
        count: Option<u64>,
    ) {
        self.vector_signal(desk, event, target);
        if target.role == Role::Wakeup {
            return;
        }
        if target.index == UNKNOWN_INDEX {
            self.guess_signal(desk, event, context, addend);
            return;
        }
        let Some(irq) = self.irqs.get_mut(&target.index) else {
            return;
        };
        let trigger_id = desk.next_trigger();
        let remap = irq.remap;
        let bits: Vec<u32> = match remap.encoding {
            Encoding::Bitmap => {
                let counter = irq.counter_of(context);
                counter.signal(trigger_id, addend, count);
                (0..u64::BITS)
                    .filter(|bit| addend & (1 << bit) != 0)
                    .collect()
            }
            Encoding::Vectors => vec![target.sub],
        };
        for bit in bits {
            self.trigger(
                desk,
                event,
                target.index,
                AtTrigger {
                    remap,
                    bit,
                    region: remap.base.saturating_add(bit),
                },
                trigger_id,
            );
        }
    }

    fn trigger(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        index: u32,
        moment: AtTrigger,
        trigger_id: u64,
    ) {
        let (now, region) = (event.time_ns, moment.region);
        self.supersede(desk, now, index, region);
        let encoding = moment.remap.encoding;
        let mut open = Open::new(index, encoding, region, trigger_id, now, &event.task);
        if let Some(facts) = self.regions.get(&region)
            && let Some((view, view_ns)) = &facts.view
        {
            open.before = Some(view.clone());
            open.before_ns = Some(*view_ns);
        }
        if let Some(change) = self.change_of(&event.task) {
            open.transition = Some(change.reference());
            open.lossy = change.lossy;
            let id = change.id;
            // Named twice in one state change, acknowledged in between: it is given back.
            let answered =
                |cycle: &Open| cycle.inside(id) && cycle.region == region && cycle.acked();
            open.awaited = !self.cycles.iter().any(answered);
            open.comparable = open.awaited;
        }
        let facts = self.regions.entry(region).or_default();
        open.comparable &= !std::mem::take(&mut facts.given_back);
        // Named before, and not described since: what it was changed from is not known.
        open.comparable &= facts.named_ns.is_none_or(|ns| open.before_ns > Some(ns));
        facts.named_ns = Some(now);
        self.cycles.push(open);
        let at = self.cycles.len() - 1;
        self.observed(desk, at, Stage::Trigger);
        if let Some(verdict) = judge(AT_TRIGGER, &moment) {
            self.raise(desk, now, &[at], verdict);
        }
    }

    /// The state change that `task` signals for: its own, or, where a kernel worker signals what
    /// had to wait for an earlier ack, the one that waits for that.
    pub(super) fn change_of(&self, task: &Task) -> Option<&Change> {
        let own = |change: &&Change| change.task.tid == task.tid;
        let worker = task.comm.starts_with("kworker/");
        let changes = || self.changes.iter();
        changes()
            .find(own)
            .or_else(|| changes().next_back().filter(|_| worker))
    }

    /// The region is signalled again: what that means for its open cycles.
    fn supersede(&mut self, desk: &mut Desk, now: u64, index: u32, region: u32) {
        let same = move |cycle: &Open| {
            cycle.irq_index == index && cycle.region == region && !cycle.acked()
        };
        // After a loss their ack may be what was lost.
        self.cut(desk, now, Outcome::Incomplete, "", move |cycle| {
            same(cycle) && cycle.lossy
        });
        let places = self.places(same);
        for at in &places {
            if let Some(cycle) = self.cycles.get_mut(*at) {
                cycle.again_ns.get_or_insert(now);
            }
        }
        if places.len() >= OPEN_PER_REGION
            && let Some(oldest) = places.first().and_then(|at| self.cycles.get(*at))
        {
            let trigger_id = oldest.trigger_id;
            let reason = "the region was signalled again and again, and no ack came";
            self.cut(desk, now, Outcome::Unacked, reason, move |cycle| {
                same(cycle) && cycle.trigger_id == trigger_id
            });
        }
    }

    /// User space read an eventfd, or tried to.
    pub(super) fn read(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        (context, target): (ContextKey, Target),
        value: Option<u64>,
        success: bool,
    ) {
        let (now, index) = (event.time_ns, target.index);
        if target.role != Role::Trigger {
            return;
        }
        if success {
            self.vector_taken(desk, event, target, value, false);
        }
        if success && index == UNKNOWN_INDEX {
            self.guess_read(event, context);
        }
        let Some(irq) = self.irqs.get_mut(&index) else {
            return;
        };
        let readers = irq.readers.entry(target.sub).or_default();
        readers.insert(event.task.tid);
        self.resolve_suspects(desk, target, event.task.tid);
        let Some(irq) = self.irqs.get_mut(&index).filter(|_| success) else {
            return;
        };
        let (encoding, base) = (irq.remap.encoding, irq.remap.base);
        let region = base.saturating_add(target.sub);
        let counter = irq.counter_of(context);
        let expired = counter.expired(u64::MAX);
        let reading = match encoding {
            Encoding::Bitmap => Some(counter.read(now, value)),
            Encoding::Vectors => None,
        };
        if let Some(misread) = expired {
            self.misread(desk, now, index, base, Reading::Doubtful(misread));
        }
        let asleep = self.places(|cycle| {
            cycle.irq_index == index
                && !cycle.woke()
                && !cycle.acked()
                && match &reading {
                    Some(reading) => reading.ids().contains(&cycle.trigger_id),
                    None => cycle.region == region,
                }
        });
        for at in asleep {
            if let Some(cycle) = self.cycles.get_mut(at) {
                cycle.wake(now, &event.task);
            }
            self.observed(desk, at, Stage::Wake);
        }
        match reading {
            // A write that explains it may still come.
            None | Some(Reading::Clean { .. } | Reading::Doubtful(_)) => {}
            Some(reading) => self.misread(desk, now, index, base, reading),
        }
    }

    /// Judges a read whose value is not what the driver named.
    fn misread(&mut self, desk: &mut Desk, now: u64, index: u32, base: u32, reading: Reading) {
        let about = self
            .places(|cycle| cycle.irq_index == index && reading.ids().contains(&cycle.trigger_id));
        let moment = AtRead { reading, base };
        if let Some(verdict) = judge(AT_READ, &moment) {
            self.raise(desk, now, &about, verdict);
        }
    }

    /// Reads that nothing has explained in time.
    pub(super) fn expire_reads(&mut self, desk: &mut Desk, now: u64) {
        let until_ns = now.saturating_sub(desk.options.settle_ns);
        let expired: Vec<(u32, u32, Misread)> = self
            .irqs
            .iter_mut()
            .filter_map(|(index, irq)| {
                let misread = irq.counter.expired(until_ns)?;
                Some((*index, irq.remap.base, misread))
            })
            .collect();
        for (index, base, misread) in expired {
            self.misread(desk, now, index, base, Reading::Doubtful(misread));
        }
    }

    /// User space wrote an eventfd.
    pub(super) fn write(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        (context, target): (ContextKey, Target),
        begin_ns: u64,
        value: Option<u64>,
    ) {
        if target.role == Role::Wakeup {
            return;
        }
        if target.index == UNKNOWN_INDEX {
            let form = AckForm::Write;
            self.guess_ack(desk, event, begin_ns, None, Ack { form, value });
            return;
        }
        let Some(irq) = self.irqs.get_mut(&target.index) else {
            return;
        };
        let (encoding, base) = (irq.remap.encoding, irq.remap.base);
        let form = match (target.role, encoding) {
            (Role::Trigger, Encoding::Bitmap) => {
                if let Some(misread) = irq.counter_of(context).write(begin_ns, value) {
                    let reading = Reading::Own(misread);
                    self.misread(desk, event.time_ns, target.index, base, reading);
                }
                AckForm::Write
            }
            (Role::Unmask, _) => AckForm::Unmask,
            // Nobody listens to it: a vector is acknowledged by an unmask.
            (Role::Trigger, Encoding::Vectors) | (Role::Mask | Role::Wakeup, _) => return,
        };
        let acked = Acked {
            index: target.index,
            subs: Some(target.sub..target.sub.saturating_add(1)),
            ack: Ack { form, value },
            begin_ns,
            end_ns: event.time_ns,
            task: &event.task,
        };
        self.acknowledge(desk, &acked);
    }

    /// User space closed an eventfd for good.
    pub(super) fn released(
        &mut self,
        desk: &mut Desk,
        now: u64,
        (context, target): (ContextKey, Target),
    ) {
        if target.role != Role::Trigger {
            return;
        }
        self.guesses.remove(&context);
        let vector = (target.index, target.sub);
        if self
            .vectors
            .get(&vector)
            .is_some_and(|vector| vector.has(context))
        {
            self.set_vector(desk, target.index, target.sub, None);
        }
        if let Some(irq) = self.irqs.get_mut(&target.index) {
            irq.context.take_if(|known| *known == context);
        }
        let cut = CutOff {
            index: target.index,
            subs: Some(target.sub..target.sub.saturating_add(1)),
            before_ns: now,
            reason: "the eventfd was closed",
        };
        self.cut_off(desk, now, &cut);
    }

    /// Nobody can answer any more.
    pub(super) fn cut_off(&mut self, desk: &mut Desk, now: u64, cut: &CutOff) {
        let Some(irq) = self.irqs.get_mut(&cut.index) else {
            return;
        };
        match &cut.subs {
            Some(subs) => irq.enabled.retain(|sub| !subs.contains(sub)),
            None => {
                irq.enabled.clear();
                irq.enabled_certain = true;
                irq.context = None;
            }
        }
        let remap = irq.remap;
        self.decide_timeouts(desk, now);
        self.cut(desk, now, Outcome::Aborted, cut.reason, |cycle| {
            cycle.irq_index == cut.index
                && !cycle.acked()
                && cycle.trigger_ns <= cut.before_ns
                && cut
                    .subs
                    .as_ref()
                    .is_none_or(|subs| subs.contains(&sub_of(remap, cycle.region)))
        });
    }
}
