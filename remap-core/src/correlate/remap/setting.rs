//! `SET_IRQS` of a remap IRQ: which sub-indexes get an eventfd, lose it, or are unmasked.

use std::collections::BTreeMap;
use std::ops::Range;

use remap_common::uapi::VFIO_PCI_NUM_IRQS;

use super::Remap;
use super::observed_ack::{ObservedAck, one};
use super::open_cycle::{Cut, OpenCycle};
use crate::correlate::call::{LookedUp, Setting};
use crate::correlate::mapping::LiveMappings;
use crate::correlate::moment::Moment;
use crate::correlate::report::Reporter;
use crate::event::{ContextKey, IrqAction, IrqData, Role, Target};
use crate::model::{Ack, AckForm, Reason};

/// Sub-indexes that lost their eventfd.
struct CutOff {
    index: u32,
    subs: Range<u32>,
    /// Only signals until then count (CLOCK_MONOTONIC ns).
    before_ns: u64,
    reason: Reason,
}

impl Remap {
    /// A `SET_IRQS` in flight looked up an eventfd.
    pub(in crate::correlate) fn looked_up(&mut self, eventfd: LookedUp) {
        let target = eventfd.target;
        if target.role == Role::Trigger
            && let Some(irq) = self.irqs.get_mut(&target.index)
        {
            irq.looked_up(eventfd.context);
        }
    }

    /// An eventfd was found to be enabled.
    pub(in crate::correlate) fn found(&mut self, target: Target, context: ContextKey) {
        if let Some(irq) = self.irqs.get_mut(&target.index) {
            irq.enable(target.sub, Some(context));
        }
    }

    /// A `SET_IRQS` that began at `begin_ns` succeeded. `before`: the eventfds of the index until
    /// then.
    pub(in crate::correlate) fn set_irqs(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        (setting, begin_ns): (&Setting<'_>, u64),
        before: &BTreeMap<u32, ContextKey>,
        live: &LiveMappings,
    ) {
        let index = setting.index;
        match (setting.action, setting.data) {
            (IrqAction::Trigger, IrqData::None) if setting.count == 0 => {
                if let Some(irq) = self.irqs.get_mut(&index) {
                    irq.disable_all();
                }
                let cut = CutOff {
                    index,
                    subs: 0..u32::MAX,
                    before_ns: at.ns,
                    reason: Reason::IrqDisabled,
                };
                self.cut_off(out, at.ns, &cut, live);
            }
            (IrqAction::Trigger, IrqData::Eventfd(fds)) => {
                self.set_eventfds(out, at.ns, (setting, fds, begin_ns), before, live);
            }
            (IrqAction::Unmask, IrqData::None) => {
                self.unmask(out, at, (index, setting.subs(), begin_ns), live);
            }
            (IrqAction::Unmask, IrqData::Bool(bits)) => {
                for (sub, _) in setting.subs().zip(bits).filter(|(_, bit)| **bit) {
                    self.unmask(out, at, (index, one(sub), begin_ns), live);
                }
            }
            _ => {}
        }
    }

    /// A `SET_IRQS` failed.
    pub(in crate::correlate) fn set_irqs_failed(&mut self, setting: &Setting<'_>) {
        if let (IrqAction::Trigger, Some(irq)) = (setting.action, self.irqs.get_mut(&setting.index))
        {
            irq.set_failed();
        }
    }

    /// User space closed an eventfd for good.
    pub(in crate::correlate) fn eventfd_closed(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        (context, target): (ContextKey, Target),
        live: &LiveMappings,
    ) {
        self.inferred.close(context);
        if let Some(irq) = self.irqs.get_mut(&target.index) {
            irq.eventfd_closed(context);
            irq.disable(target.sub);
        }
        let cut = CutOff {
            index: target.index,
            subs: one(target.sub),
            before_ns: now,
            reason: Reason::EventfdClosed,
        };
        self.cut_off(out, now, &cut, live);
    }

    /// New eventfds, or none: signals of the old ones are not awaited any more.
    fn set_eventfds(
        &mut self,
        out: &mut Reporter<'_>,
        now: u64,
        (setting, fds, begin_ns): (&Setting<'_>, &[i32], u64),
        before: &BTreeMap<u32, ContextKey>,
        live: &LiveMappings,
    ) {
        let index = setting.index;
        // No remap IRQ has more sub-indexes than a mask has bits.
        for sub in setting.subs().take(u64::BITS as usize) {
            let Some(irq) = self.irqs.get_mut(&index) else {
                return;
            };
            let context = setting.trigger(sub);
            let reason = if setting.leaves_without(fds, sub) {
                irq.disable(sub);
                Reason::IrqDisabled
            } else {
                irq.enable(sub, context);
                if context.is_some_and(|context| before.get(&sub) != Some(&context)) {
                    irq.forget_readers(sub);
                }
                Reason::IrqEnabledAnew
            };
            let cut = CutOff {
                index,
                subs: one(sub),
                before_ns: begin_ns,
                reason,
            };
            self.cut_off(out, now, &cut, live);
        }
    }

    fn unmask(
        &mut self,
        out: &mut Reporter<'_>,
        at: Moment<'_>,
        (index, subs, begin_ns): (u32, Range<u32>, u64),
        live: &LiveMappings,
    ) {
        let ack = Ack {
            form: AckForm::Unmask,
            value: None,
        };
        if index >= VFIO_PCI_NUM_IRQS && !self.is_remap(index) {
            self.acknowledge_inferred(out, at, (ack, begin_ns, Some(subs)), live);
            return;
        }
        let acked = ObservedAck {
            index,
            subs: Some(subs),
            ack,
            begin_ns,
            at,
        };
        self.acknowledge(out, &acked, live);
    }

    /// Signals of these sub-indexes cannot be answered any more.
    fn cut_off(&mut self, out: &mut Reporter<'_>, now: u64, cut: &CutOff, live: &LiveMappings) {
        let Some(irq) = self.irqs.get(&cut.index) else {
            return;
        };
        let wanted = |cycle: &OpenCycle| {
            let trigger = &cycle.trigger;
            trigger.irq_index == cut.index
                && !cycle.acked()
                && trigger.ns <= cut.before_ns
                && cut.subs.contains(&irq.sub_of(trigger.region))
        };
        self.cycles
            .cut(out, now, live, Cut::aborted(cut.reason), wanted);
    }
}
