//! The eventfds of every IRQ index: who signals, who reads, and how long that takes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::device::Device;
use super::report::Desk;
use super::rule::{never_read, request_ignored};
use crate::event::{
    Body, Call, ContextKey, Event, IrqAction, IrqData, Role, Target, UNKNOWN_INDEX,
};
use crate::model::{Interrupt, IrqChange, IrqName, IrqVerb};

/// What a `SET_IRQS` does.
pub(super) fn verb(action: IrqAction, data: &IrqData, count: u32) -> IrqVerb {
    match (action, data) {
        (IrqAction::Trigger, IrqData::None) if count == 0 => IrqVerb::Disable,
        (IrqAction::Trigger, IrqData::None | IrqData::Bool(_)) => IrqVerb::Trigger,
        (IrqAction::Trigger, IrqData::Eventfd(fds)) => {
            let none = fds.len() == count as usize && fds.iter().all(|fd| *fd < 0);
            if none {
                IrqVerb::Disable
            } else {
                IrqVerb::Enable
            }
        }
        (IrqAction::Mask | IrqAction::Unmask, IrqData::Eventfd(_)) => IrqVerb::Arm,
        (IrqAction::Mask, IrqData::None | IrqData::Bool(_)) => IrqVerb::Mask,
        (IrqAction::Unmask, IrqData::None | IrqData::Bool(_)) => IrqVerb::Unmask,
        (IrqAction::Unknown(_), _) | (_, IrqData::Unknown(_)) => IrqVerb::Unknown,
    }
}

/// Whether a device of this name is PCI: `domain:bus:device.function`.
fn is_pci(name: &str) -> bool {
    let parts: Vec<&str> = name.split([':', '.']).collect();
    let hex = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_hexdigit());
    parts.len() == 4 && parts.iter().all(hex)
}

impl Device {
    /// What an IRQ index is.
    pub(super) fn irq_name(&self, index: u32) -> IrqName {
        if index == UNKNOWN_INDEX {
            IrqName::Inferred
        } else if self.irqs.contains_key(&index) {
            IrqName::Remap
        } else if is_pci(&self.name) {
            IrqName::pci(index)
        } else {
            IrqName::Other
        }
    }

    /// The kernel signals an eventfd.
    pub(super) fn vector_signal(&mut self, desk: &mut Desk, event: &Event, target: Target) {
        let Body::Signal {
            context,
            addend,
            in_task,
            ..
        } = &event.body
        else {
            return;
        };
        if target.role == Role::Wakeup {
            self.woken(event.time_ns);
        }
        if target.role != Role::Trigger {
            return;
        }
        let setting = self.calls.get(&event.task.tid);
        let own = |call: &Call| {
            matches!(call, Call::SetIrqs { index, action: IrqAction::Trigger, data, .. }
                if *index == target.index && !matches!(data, IrqData::Eventfd(_)))
        };
        let software = *in_task != Some(false) && setting.is_some_and(own);
        let name = self.irq_name(target.index);
        let irq = desk.stats.irq(&self.name, target.index, name);
        let stats = irq.vectors.entry(target.sub).or_default();
        stats.signals += 1;
        stats.software += u64::from(software);
        let vector = self.vectors.entry((target.index, target.sub)).or_default();
        vector.signal(event.time_ns, *addend, *context);
        if !software {
            vector.asked_ns.get_or_insert(event.time_ns);
        }
    }

    /// Somebody took the counter of an eventfd.
    pub(super) fn vector_taken(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        target: Target,
        value: Option<u64>,
        in_kernel: bool,
    ) {
        if target.role != Role::Trigger {
            return;
        }
        let vector = self.vectors.entry((target.index, target.sub)).or_default();
        let (taken, signal_ns) = vector.take(value);
        let name = self.irq_name(target.index);
        let irq = desk.stats.irq(&self.name, target.index, name);
        let stats = irq.vectors.entry(target.sub).or_default();
        stats.coalesced += taken.saturating_sub(1);
        if in_kernel {
            stats.consumed += 1;
        } else {
            stats.reads += 1;
            if let Some(ns) = signal_ns.and_then(|ns| event.time_ns.checked_sub(ns)) {
                stats.latency.record(ns);
                irq.latency.record(ns);
            }
        }
        desk.interrupt(Interrupt {
            device: self.name.clone(),
            index: target.index,
            name,
            sub: target.sub,
            signal_ns,
            time_ns: event.time_ns,
            signals: (taken > 0).then_some(taken),
            in_kernel,
            task: event.task.clone(),
        });
    }

    /// A sub-index has another eventfd from now on, or none.
    pub(super) fn set_vector(
        &mut self,
        desk: &mut Desk,
        index: u32,
        sub: u32,
        context: Option<ContextKey>,
    ) {
        let known = self.vectors.contains_key(&(index, sub));
        if !known && context.is_none() {
            return;
        }
        let vector = self.vectors.entry((index, sub)).or_default();
        let unread = vector.set(context);
        if unread > 0 {
            let name = self.irq_name(index);
            let irq = desk.stats.irq(&self.name, index, name);
            irq.vectors.entry(sub).or_default().unread += unread;
        }
    }

    /// Every sub-index in `subs` that has an eventfd loses it.
    pub(super) fn clear_vectors(&mut self, desk: &mut Desk, index: u32, subs: Range<u32>) {
        let range = (index, subs.start)..(index, subs.end);
        let known: Vec<u32> = self
            .vectors
            .range(range)
            .map(|((_, sub), _)| *sub)
            .collect();
        for sub in known {
            self.set_vector(desk, index, sub, None);
        }
    }

    /// A `SET_IRQS` that looked up the eventfds `named` returned.
    pub(super) fn irq_call(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        named: &[(Target, ContextKey)],
    ) {
        let Body::Exit {
            call:
                Call::SetIrqs {
                    index,
                    start,
                    count,
                    action,
                    data,
                },
            begin_ns,
            result,
            ..
        } = &event.body
        else {
            return;
        };
        let (index, start, count) = (*index, *start, *count);
        let name = self.irq_name(index);
        let verb = verb(*action, data, count);
        let irq = desk.stats.irq(&self.name, index, name);
        let calls = match result {
            Ok(_) => &mut irq.calls,
            Err(_) => &mut irq.failed,
        };
        *calls.entry(verb).or_default() += 1;
        desk.irq_change(IrqChange {
            device: self.name.clone(),
            time_ns: event.time_ns,
            begin_ns: *begin_ns,
            index,
            name,
            verb,
            start,
            count,
            result: result.map(|_| ()),
            task: event.task.clone(),
        });
        let subs = start..start.saturating_add(count);
        match (verb, result) {
            (IrqVerb::Enable | IrqVerb::Disable, Err(_)) => {
                // Some of them may have been set, or taken away, before it failed.
                let range = (index, subs.start)..(index, subs.end);
                self.vectors
                    .range_mut(range)
                    .for_each(|(_, vector)| vector.lose());
            }
            (IrqVerb::Disable, Ok(_)) if count == 0 => {
                self.clear_vectors(desk, index, 0..u32::MAX);
            }
            (IrqVerb::Enable | IrqVerb::Disable, Ok(_)) => {
                let contexts: BTreeMap<u32, ContextKey> = named
                    .iter()
                    .filter(|(target, _)| target.role == Role::Trigger && target.index == index)
                    .map(|(target, context)| (target.sub, *context))
                    .collect();
                if let IrqData::Eventfd(fds) = data {
                    for (sub, _) in subs.zip(fds).filter(|(_, fd)| **fd < 0) {
                        self.set_vector(desk, index, sub, None);
                    }
                }
                for (sub, context) in contexts {
                    self.set_vector(desk, index, sub, Some(context));
                }
            }
            _ => {}
        }
    }

    /// Signals that nobody took for so long that it is no accident of the trace's end.
    pub(super) fn judge_vectors(&mut self, desk: &mut Desk, now: u64) {
        if !desk.options.sees_consumers {
            return;
        }
        let stuck_ns = desk.options.stuck_ns;
        let mut unread: BTreeMap<u32, Vec<(u32, u64)>> = BTreeMap::new();
        for ((index, sub), vector) in &self.vectors {
            if let Some(ns) = vector
                .first_ns()
                .filter(|_| vector.is_enabled() && !vector.doubtful)
                && now.saturating_sub(ns) >= stuck_ns
            {
                unread.entry(*index).or_default().push((*sub, ns));
            }
        }
        for (index, vectors) in unread {
            // Whether a remap IRQ is answered is another rule's matter; so is a request.
            let name = self.irq_name(index);
            if !matches!(name, IrqName::Remap | IrqName::Inferred | IrqName::Req) {
                self.raise(desk, now, &[], never_read(name, &vectors, now));
            }
        }
        let request = self.vectors.iter().find(|((index, _), vector)| {
            self.irq_name(*index) == IrqName::Req && vector.is_enabled() && !vector.doubtful
        });
        if let Some(ns) = request.and_then(|(_, vector)| vector.asked_ns)
            && now.saturating_sub(ns) >= stuck_ns
        {
            self.raise(desk, now, &[], request_ignored(ns, now));
        }
    }

    /// What nobody has read when the device is closed, or the trace ends.
    pub(super) fn count_unread(&mut self, desk: &mut Desk) {
        for ((index, sub), vector) in &self.vectors {
            let unread = vector.unread();
            if unread > 0 {
                let name = self.irq_name(*index);
                let irq = desk.stats.irq(&self.name, *index, name);
                irq.vectors.entry(*sub).or_default().unread += unread;
            }
        }
        self.vectors.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pci_device_has_its_indexes() {
        assert!(is_pci("0000:01:00.0") && !is_pci("unknown device") && !is_pci("0.0.0001"));
    }

    #[test]
    fn what_a_call_does() {
        let fds = |fds: &[i32]| IrqData::Eventfd(fds.to_vec());
        assert_eq!(
            verb(IrqAction::Trigger, &fds(&[-1, -1]), 2),
            IrqVerb::Disable
        );
        // The rest was not captured.
        assert_eq!(
            verb(IrqAction::Trigger, &fds(&[-1, -1]), 3),
            IrqVerb::Enable
        );
        assert_eq!(
            verb(IrqAction::Trigger, &IrqData::None, 0),
            IrqVerb::Disable
        );
        assert_eq!(
            verb(IrqAction::Trigger, &IrqData::None, 1),
            IrqVerb::Trigger
        );
        assert_eq!(verb(IrqAction::Unmask, &fds(&[7]), 1), IrqVerb::Arm);
    }
}
