//! Calls in flight, by thread: those that began in the trace, and those that were in flight before.

use std::collections::BTreeMap;
use std::ops::Range;

use super::moment::Moment;
use super::report::Reporter;
use super::rules::never_returned;
use crate::event::{Answer, Call, ContextKey, Errno, InFlight, IrqAction, IrqData, Role, Target};
use crate::model::{InFlightCall, Output};

/// The return of a call, or of a write of the state.
pub(super) struct Returned<'a> {
    pub(super) begin_ns: u64,
    pub(super) result: Result<i64, Errno>,
    pub(super) answer: &'a Answer,
    /// Records were lost while it ran.
    pub(super) lossy: bool,
}

impl Returned<'_> {
    /// Whether it succeeded, or the errno.
    pub(super) fn success(&self) -> Result<(), Errno> {
        self.result.map(|_| ())
    }
}

/// An eventfd that a `SET_IRQS` has looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LookedUp {
    pub(super) target: Target,
    pub(super) context: ContextKey,
}

/// The arguments of a `SET_IRQS`, and the eventfds that it looked up.
pub(super) struct Setting<'a> {
    pub(super) index: u32,
    pub(super) start: u32,
    pub(super) count: u32,
    pub(super) action: IrqAction,
    pub(super) data: &'a IrqData,
    pub(super) eventfds: Vec<LookedUp>,
}

impl Setting<'_> {
    /// The sub-indexes that it names.
    pub(super) fn subs(&self) -> Range<u32> {
        self.start..self.start.saturating_add(self.count)
    }

    /// The eventfd that `sub` got to be signalled.
    pub(super) fn trigger(&self, sub: u32) -> Option<ContextKey> {
        let wanted = (self.index, sub, Role::Trigger);
        let got = self.eventfds.iter().find(|eventfd| {
            let target = eventfd.target;
            (target.index, target.sub, target.role) == wanted
        });
        got.map(|eventfd| eventfd.context)
    }

    /// The sub-indexes that lost their eventfd (-1), as far as the numbers were captured.
    pub(super) fn taken_away(&self) -> impl Iterator<Item = u32> {
        let fds: &[i32] = match self.data {
            IrqData::Eventfd(fds) => fds,
            _ => &[],
        };
        let named = self.subs().zip(fds);
        named.filter(|(_, fd)| **fd < 0).map(|(sub, _)| sub)
    }

    /// Whether `sub` has no eventfd after it. Not all numbers may have been captured; the eventfds
    /// behind the others were looked up.
    pub(super) fn leaves_without(&self, fds: &[i32], sub: u32) -> bool {
        match fds.get((sub - self.start) as usize) {
            Some(fd) => *fd < 0,
            None => self.trigger(sub).is_none(),
        }
    }
}

/// The calls on one device that have not returned.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Those that were seen to begin.
    seen: BTreeMap<u32, Call>,
    /// Those that were in flight when the trace began.
    found: BTreeMap<u32, InFlightCall>,
    /// Eventfds that a `SET_IRQS` in flight has looked up.
    looked_up: BTreeMap<u32, Vec<LookedUp>>,
    /// How many these are.
    eventfds: usize,
}

impl Calls {
    /// A call begins.
    pub(super) fn enter(&mut self, tid: u32, call: &Call) {
        self.seen.insert(tid, call.clone());
    }

    /// A call returned.
    pub(super) fn exit(&mut self, tid: u32) {
        self.seen.remove(&tid);
    }

    /// A `SET_IRQS` in flight looked an eventfd up.
    pub(super) fn look_up(&mut self, tid: u32, eventfd: LookedUp) {
        self.looked_up.entry(tid).or_default().push(eventfd);
        self.eventfds += 1;
    }

    /// The eventfds that the `SET_IRQS` of a thread looked up, once it has returned.
    pub(super) fn looked_up(&mut self, tid: u32) -> Vec<LookedUp> {
        let looked_up = self.looked_up.remove(&tid).unwrap_or_default();
        self.eventfds -= looked_up.len();
        looked_up
    }

    /// Whether the thread was seen to begin a call that has not returned.
    pub(super) fn contains(&self, tid: u32) -> bool {
        self.seen.contains_key(&tid)
    }

    /// Whether the thread is in a `SET_IRQS` that signals eventfds of an IRQ index.
    pub(super) fn triggers(&self, tid: u32, irq_index: u32) -> bool {
        matches!(
            self.seen.get(&tid),
            Some(Call::SetIrqs { index, action: IrqAction::Trigger, data, .. })
                if *index == irq_index && !matches!(data, IrqData::Eventfd(_))
        )
    }

    /// A call was found in flight that began before the trace.
    pub(super) fn found(&mut self, out: &mut Reporter<'_>, at: Moment<'_>, call: &InFlight) {
        // A call that began in the trace is no such call.
        if self.contains(at.task.tid) {
            return;
        }
        let call = InFlightCall {
            device: out.name(),
            time_ns: at.ns,
            call: call.call.clone(),
            waits_in: call.waits_in.clone(),
            last_seen_ns: None,
            task: at.task.clone(),
        };
        out.emit(Output::InFlightCall(call.clone()));
        self.found.insert(at.task.tid, call);
    }

    /// The call that was found in flight has ended; it was last seen at `seen_ns`. This may be
    /// reported twice.
    pub(super) fn over(&mut self, at: Moment<'_>, seen_ns: Option<u64>) -> Option<InFlightCall> {
        let call = self.found.remove(&at.task.tid)?;
        Some(over(call, at.ns, seen_ns))
    }

    /// Records were lost.
    pub(super) fn lose(&mut self) {
        self.seen.clear();
        self.looked_up.clear();
        self.eventfds = 0;
    }

    /// How much is stored ([`super::room`]).
    pub(super) fn room(&self) -> usize {
        2 * self.seen.len() + 4 * self.found.len() + self.eventfds
    }

    /// The device was closed: no thread is in a call on it any more.
    pub(super) fn close(&mut self, out: &mut Reporter<'_>, now: u64) {
        for call in std::mem::take(&mut self.found).into_values() {
            out.emit(Output::InFlightCall(over(call, now, None)));
        }
        *self = Self::default();
    }

    /// The trace ends: reports a call that was in flight for the whole trace.
    pub(super) fn judge(&self, out: &mut Reporter<'_>, now: u64) {
        let stuck_ns = out.options().stuck_ns;
        for call in self.found.values() {
            if now.saturating_sub(call.time_ns) >= stuck_ns {
                out.finding(now, never_returned(call, now));
            }
        }
    }
}

fn over(call: InFlightCall, now: u64, seen_ns: Option<u64>) -> InFlightCall {
    InFlightCall {
        last_seen_ns: Some(seen_ns.unwrap_or(call.time_ns)),
        time_ns: now,
        ..call
    }
}
