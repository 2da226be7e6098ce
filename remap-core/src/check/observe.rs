//! What exercises a duty, and what breaks it that is no finding: one device at a time.

mod calls;
mod outputs;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use outputs::cycle_ns;

use super::Duty;
use crate::event::{Body, DeviceState, FaultOutcome, Map, Origin, Role, Signal};
use crate::model::Output;
use crate::parse::irq::IrqInfo;
use crate::parse::region::{Area, Region};
use remap_common::uapi::VFIO_PCI_MSIX_IRQ_INDEX;

/// So many descriptions of IRQs, and of regions, of a device are kept.
const MOST_DESCRIPTIONS: usize = 512;

/// Of so many state changes is kept what they waited for.
const MOST_CHANGES: usize = 16;

/// A duty that was exercised or broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) duty: Duty,
    /// The region that it is about.
    pub(super) region: Option<u32>,
    /// One sentence if it was broken.
    pub(super) broken: Option<String>,
}

/// A state change in flight.
#[derive(Clone, Copy, Debug)]
struct Changing {
    from: Option<DeviceState>,
    /// Whether the driver has signalled a remap IRQ.
    waits: bool,
}

/// A state change that failed.
#[derive(Clone, Copy, Debug)]
struct Failed {
    /// The state that has to be in force still; `None`: any.
    old: Option<DeviceState>,
}

/// A state change that trapped regions.
#[derive(Debug, Default)]
struct Trapping {
    /// Whether it succeeded; `None`: not known yet.
    succeeded: Option<bool>,
    /// Its regions whose cycles ended before that was known: whether it returned before their acks.
    waiting: BTreeMap<u32, bool>,
}

/// One device, since its first call or its last close.
#[derive(Debug, Default)]
pub(super) struct Device {
    irqs: BTreeMap<u32, IrqInfo>,
    regions: BTreeMap<u32, Region>,
    /// Regions with a mapping that their description did not allow, and that succeeded.
    let_through: BTreeSet<u32>,
    /// The migration flags.
    flags: Option<u64>,
    /// The migration state, as far as calls have named it.
    state: Option<DeviceState>,
    changing: Option<Changing>,
    /// In STOP or STOP_COPY, between two state changes.
    stopped: bool,
    /// The last state change failed, and no call has asked about the state since.
    failed: Option<Failed>,
    /// The state changes during whose wait the user disabled the IRQ.
    without_user: BTreeSet<u64>,
    /// The state changes that trapped regions, by number.
    trapping: BTreeMap<u64, Trapping>,
    seen: Vec<Seen>,
}

/// Whether `area` lies within `areas`, which do not overlap.
pub(super) fn covers(areas: &[Area], area: Area) -> bool {
    let end = |area: &Area| area.offset.saturating_add(area.size);
    let mut at = area.offset;
    for part in areas {
        if part.offset <= at && at < end(part) {
            at = end(part);
        }
    }
    at >= end(&area)
}

impl Device {
    /// What an event says about the duties.
    pub(super) fn event(&mut self, body: &Body) -> Vec<Seen> {
        match body {
            Body::Enter { call, .. } if call.changes_state() => self.begin_change(),
            Body::Exit(exit) => self.exit(exit),
            Body::Map(map) => self.map(map),
            Body::Fault(fault) if fault.outcome == FaultOutcome::Populated => {
                self.exercise(Duty::NoAccessWhileTrapped);
            }
            Body::Signal(signal) => self.signal(signal),
            _ => {}
        }
        std::mem::take(&mut self.seen)
    }

    /// What an output says about the duties.
    pub(super) fn output(&mut self, output: &Output) -> Vec<Seen> {
        match output {
            Output::Cycle(cycle) => self.cycle(cycle),
            Output::Transition(transition) => self.transition(transition),
            Output::StateInterval(interval) => self.interval(interval),
            Output::IrqChange(change) => self.irq_change(change),
            Output::Interrupt(interrupt) => self.interrupt(interrupt),
            Output::Mapped(mapped) => self.mapped(mapped),
            _ => {}
        }
        std::mem::take(&mut self.seen)
    }

    fn exercise(&mut self, duty: Duty) {
        self.seen.push(Seen {
            duty,
            region: None,
            broken: None,
        });
    }

    fn breaks(&mut self, duty: Duty, region: Option<u32>, text: String) {
        self.seen.push(Seen {
            duty,
            region,
            broken: Some(text),
        });
    }

    fn may_be_named(&self, region: u32) -> bool {
        let mut irqs = self.irqs.values().filter_map(|irq| irq.remap);
        irqs.any(|remap| remap.may_name(region))
    }

    fn begin_change(&mut self) {
        self.leave_stop();
        self.changing = Some(Changing {
            from: self.state,
            waits: false,
        });
    }

    fn leave_stop(&mut self) {
        if std::mem::take(&mut self.stopped) {
            self.exercise(Duty::QuietWhileStopped);
        }
    }

    /// An interrupt of the device itself: not the kernel's ERR and REQ, not the remap IRQ, and not
    /// signalled by a call.
    fn signal(&mut self, signal: &Signal) {
        let target = signal.target;
        if target.role != Role::Trigger {
            return;
        }
        if target.index > VFIO_PCI_MSIX_IRQ_INDEX {
            // The driver has changed regions.
            self.let_through.clear();
            if let Some(changing) = &mut self.changing {
                changing.waits = true;
            }
        } else if self.stopped && signal.inside.is_none() {
            let text = format!(
                "IRQ index {} was signalled while the device was stopped",
                target.index
            );
            self.breaks(Duty::QuietWhileStopped, None, text);
        }
    }

    fn map(&mut self, map: &Map) {
        let index = map.place.region;
        let Some(region) = self.regions.get(&index) else {
            return;
        };
        if map.origin != Origin::Seen || !region.areas.known {
            return;
        }
        let allowed = covers(&region.areas, map.place.area);
        let whole = [Area {
            offset: 0,
            size: region.size,
        }];
        let is_sparse = region.areas.list != whole;
        let Area { offset, size } = map.place.area;
        if map.result.is_ok() && is_sparse {
            self.exercise(Duty::MapsAreas);
            if !allowed {
                let text = format!(
                    "{size:#x} bytes from {offset:#x} on were mapped, which the region's last \
                     description does not allow"
                );
                self.breaks(Duty::MapsAreas, Some(index), text);
            }
        }
        if allowed || !self.may_be_named(index) {
            return;
        }
        self.exercise(Duty::TrappedMmapRefused);
        match map.result {
            Ok(()) => {
                // The driver may have given it back meanwhile: the next description shows it.
                self.let_through.insert(index);
            }
            Err(crate::event::Errno::EBUSY) => {}
            Err(errno) => {
                let text = format!("mmap(2) of a page that is trapped failed with {errno}");
                self.breaks(Duty::TrappedMmapRefused, Some(index), text);
            }
        }
    }
}
