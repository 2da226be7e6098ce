//! Calls that were under way when the trace began.

use super::change::changes_state;
use super::device::Device;
use super::duration::Ns;
use super::finding::Rule;
use super::output::Class;
use super::report::Desk;
use super::rule::Found;
use crate::event::{Call, EarlyCall, Event, Task, feature_name};

/// A call that was under way when the trace began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    /// Name of the device.
    pub device: String,
    /// When this was observed (CLOCK_MONOTONIC ns): that it is under way, or that it is over.
    pub time_ns: u64,
    /// What was called.
    pub call: EarlyCall,
    /// The functions in which the thread waits, or waited, innermost first; empty if that is not
    /// known.
    pub waits_in: Vec<String>,
    /// If it is over: when it was last seen under way (CLOCK_MONOTONIC ns).
    pub last_seen_ns: Option<u64>,
    /// The thread.
    pub task: Task,
}

/// Whether it is a state change; the legacy one only as far as its region is known.
fn changes(call: &EarlyCall) -> bool {
    matches!(call, EarlyCall::Ioctl(Call::Feature { feature, op, .. }) if changes_state(*feature, *op))
}

impl Early {
    /// What it is about.
    pub(super) fn class(&self) -> Class {
        match &self.call {
            call if changes(call) => Class::Migration,
            EarlyCall::Ioctl(Call::SetIrqs { .. }) => Class::Irq,
            _ => Class::File,
        }
    }

    /// The call in words.
    pub fn what(&self) -> String {
        let call = match &self.call {
            EarlyCall::Write { region } => return format!("a write to region {region}"),
            EarlyCall::Ioctl(call) => call,
        };
        match call {
            Call::SetIrqs { index, .. } => format!("SET_IRQS of index {index}"),
            Call::GetIrqInfo { index } => format!("GET_IRQ_INFO of index {index}"),
            Call::GetRegionInfo { index } => format!("GET_REGION_INFO of region {index}"),
            Call::Feature { data, .. } if changes(&self.call) => match data.state() {
                Some(to) => format!("the change to {to}"),
                None => "a state change".to_owned(),
            },
            Call::Feature { feature, .. } => match feature_name(*feature) {
                Some(name) => format!("the feature {name}"),
                None => format!("the feature {feature}"),
            },
            Call::Reset => "RESET".to_owned(),
            Call::HotReset => "PCI_HOT_RESET".to_owned(),
            Call::BindIommufd { .. } => "BIND_IOMMUFD".to_owned(),
            Call::AttachPt { .. } => "ATTACH_IOMMUFD_PT".to_owned(),
            Call::DetachPt => "DETACH_IOMMUFD_PT".to_owned(),
            Call::Other { request } | Call::Unreadable { request } => {
                format!("the ioctl {request:#x}")
            }
        }
    }

    /// Where its thread waits, and who called that: the innermost functions. `None` if that is not
    /// known.
    pub fn whereabouts(&self) -> Option<String> {
        let innermost: Vec<&str> = self.waits_in.iter().take(3).map(String::as_str).collect();
        (!innermost.is_empty()).then(|| innermost.join(" ← "))
    }
}

fn over(desk: &mut Desk, early: Early, now: u64, seen_ns: Option<u64>) {
    desk.early(Early {
        last_seen_ns: Some(seen_ns.unwrap_or(early.time_ns)),
        time_ns: now,
        ..early
    });
}

impl Device {
    /// A call is found under way, and it had begun before the trace.
    pub(super) fn early(
        &mut self,
        desk: &mut Desk,
        event: &Event,
        call: &EarlyCall,
        waits_in: &[String],
    ) {
        // One that was seen to begin is not early.
        if self.calls.contains_key(&event.task.tid) {
            return;
        }
        let early = Early {
            device: self.name.clone(),
            time_ns: event.time_ns,
            call: call.clone(),
            waits_in: waits_in.to_vec(),
            last_seen_ns: None,
            task: event.task.clone(),
        };
        desk.early(early.clone());
        self.early.insert(event.task.tid, early);
    }

    /// The thread is in that call no more, last seen in it at `seen_ns`; it may be told twice.
    pub(super) fn early_over(&mut self, desk: &mut Desk, event: &Event, seen_ns: Option<u64>) {
        let Some(early) = self.early.remove(&event.task.tid) else {
            return;
        };
        if changes(&early.call) {
            // Whether it succeeded was not seen.
            self.forget_state(desk, event.time_ns);
        }
        over(desk, early, event.time_ns, seen_ns);
    }

    /// The device was closed: nobody is in a call on it any more.
    pub(super) fn end_early(&mut self, desk: &mut Desk, now: u64) {
        for early in std::mem::take(&mut self.early).into_values() {
            over(desk, early, now, None);
        }
    }

    /// The trace ends: a call that has lasted all the time does not return.
    pub(super) fn judge_early(&mut self, desk: &mut Desk, now: u64) {
        for early in std::mem::take(&mut self.early).into_values() {
            let ns = now.saturating_sub(early.time_ns);
            if ns < desk.options.stuck_ns {
                continue;
            }
            let (what, task) = (early.what(), &early.task);
            let waits = early.whereabouts();
            let waits = waits.map_or_else(String::new, |place| {
                format!("; when it was found it waited in {place}")
            });
            let text = format!(
                "{what} by {} {} was under way when the trace began, and has not returned in the {} \
                 since{waits}",
                task.comm,
                task.tid,
                Ns(ns)
            );
            let found = Found { region: None, text };
            desk.finding(now, &self.name, Rule::NeverReturned, found, None);
        }
    }
}
