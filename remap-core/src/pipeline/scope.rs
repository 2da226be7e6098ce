//! Which events are passed on: those of the devices, processes and machines of interest.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::registry::Registry;
use crate::event::{Body, DeviceKey, Event};

/// Which devices are of interest; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Only the device with this name.
    pub device: Option<String>,
    /// Only devices that this process has used, from its first use on.
    pub pid: Option<u32>,
    /// Only devices that a virtual machine of this name has used, from its first use on.
    pub vm: Option<String>,
}

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is of no interest.
    No,
    /// It is.
    Yes,
    /// It is, and so is this one, which made its device known earlier.
    After(Box<Event>),
}

/// Whether the event's task does something with a device or its files: an interrupt, or the
/// kernel's work for another process, may come on top of any task.
pub(super) fn acts(event: &Event) -> bool {
    matches!(
        event.body,
        Body::Device(_)
            | Body::DeviceFile(_)
            | Body::Enter { .. }
            | Body::Exit(_)
            | Body::InFlight(_)
            | Body::Read(_)
            | Body::Write(_)
            | Body::Map(_)
            | Body::StateWriteEnter(_)
            | Body::StateWriteExit(_)
            | Body::Fault(_)
            | Body::ConfigWrite(_)
            | Body::Data(_)
            | Body::PrecopyInfo(_)
            | Body::Dma(_)
    )
}

/// Applies a [`Filter`].
#[derive(Debug, Default)]
pub(super) struct Scope {
    filter: Filter,
    used: BTreeSet<DeviceKey>,
    left_out: u64,
}

impl Scope {
    pub(super) fn new(filter: Filter) -> Self {
        Self {
            filter,
            ..Self::default()
        }
    }

    /// Records that were of no interest.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// A device was closed: its address may be that of another device next time.
    pub(super) fn close(&mut self, device: DeviceKey) {
        self.used.remove(&device);
    }

    /// Whether the event is passed on; `names` contains it already.
    pub(super) fn admit(&mut self, names: &Registry, event: &Event) -> Admission {
        let admission = self.judge(names, event);
        if admission == Admission::No {
            self.left_out += 1;
        }
        admission
    }

    fn judge(&mut self, names: &Registry, event: &Event) -> Admission {
        if matches!(event.body, Body::Lost(_) | Body::Owner { .. }) {
            return Admission::Yes;
        }
        let by_user = self.filter.pid.is_some() || self.filter.vm.is_some();
        let Some(device) = event.device() else {
            // What belongs to no single device belongs to a process, if to anything.
            let about_one = matches!(event.body, Body::Data(_) | Body::PrecopyInfo(_));
            let wanted = (!by_user || self.is_user(names, event.task.pid))
                && !(about_one && self.filter.device.is_some());
            return if wanted {
                Admission::Yes
            } else {
                Admission::No
            };
        };
        if let Some(wanted) = &self.filter.device
            && names.device(device) != Some(wanted)
        {
            return Admission::No;
        }
        if !by_user || self.used.contains(&device) {
            return Admission::Yes;
        }
        if !(acts(event) && self.is_user(names, event.task.pid)) {
            return Admission::No;
        }
        self.used.insert(device);
        match names.opening(device) {
            Some(known) if !matches!(event.body, Body::Device(_)) => {
                Admission::After(Box::new(known.clone()))
            }
            _ => Admission::Yes,
        }
    }

    fn is_user(&self, names: &Registry, pid: u32) -> bool {
        self.filter.pid.is_none_or(|wanted| wanted == pid)
            && (self.filter.vm.is_none() || names.vm(pid) == self.filter.vm.as_deref())
    }
}
