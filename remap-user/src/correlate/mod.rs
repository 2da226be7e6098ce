//! Events → cycles, transitions and findings.
//!
//! ```text
//! event → device (signal, ioctl, region) → open cycles ┬─ settle → desk → Output
//!                       learned facts ───────→ rules ──┘
//! ```
//! Pure: no clock, no file, no syscall. Time is what the events say; a caller that has no event
//! says how late it is with [`Correlator::advance`].
//!
//! Three conventions:
//! * What was not observed is `None`. Nothing is assumed about the time before the trace.
//! * One cause gives one finding: a cycle that a finding explains is not blamed again.
//! * After [`Body::Lost`] every cycle that was open ends as `incomplete: records lost`, no finding
//!   speaks of it, and what was learned (mappings, descriptions, counters) is learned anew.

#[allow(dead_code, reason = "the machinery that fills it follows")]
mod activity;
mod areas;
mod change;
mod counter;
mod cycle;
mod device;
mod duration;
mod finding;
#[allow(dead_code, reason = "the machinery that fills it follows")]
mod fsm;
mod ioctl;
mod irq;
mod mapping;
mod open;
mod output;
#[allow(dead_code, reason = "the machinery that fills it follows")]
mod report;
mod rule;
mod settle;
mod signal;
#[allow(dead_code, reason = "the machinery that fills it follows")]
mod stats;
mod stay;
mod transition;
mod usage;
#[allow(dead_code, reason = "the machinery that fills it follows")]
mod zap;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

pub use activity::{Activity, DataStats, Spent};
pub use cycle::{Ack, AckForm, Cycle, Outcome, ReleasedSource, Stage, Stages, Stamp, View};
pub use duration::Ns;
pub use finding::{Finding, RULES, Rule};
pub use irq::{Interrupt, IrqChange, IrqName, IrqVerb};
pub use output::{Class, Output, StageLine};
pub use stats::{
    ChangeStats, DeviceStats, IrqStats, LoggingStats, MappingStats, MigrationStats, Quantiles,
    RegionStats, StateStats, Stats, Summary, User, VectorStats, Withheld, ZapStats,
};
pub use stay::{Precopy, Stay};
pub use transition::{Transition, TransitionRef};
pub use usage::{Closed, Inferred, Mapped, MappedHow, Opened};
pub use zap::{Cause, Zap, ZapEnd, ZappedRegion};

use crate::event::{Body, DeviceKey, Event};
use crate::vfio::region::Area;
use device::Device;
use report::Desk;

/// The name of a device that the trace has not named.
pub const UNKNOWN_DEVICE: &str = "unknown device";

/// How the correlation judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long evidence settles before something is said to be wrong or missing, ns. Must be
    /// longer than records of different CPUs, and the word of a loss, may be late.
    pub settle_ns: u64,
    /// How long something must last to be called stuck when the trace ends or somebody
    /// interrupts it, ns.
    pub stuck_ns: u64,
    /// Whether each stage goes out as an [`Output::Stage`] of its own.
    pub stages: bool,
    /// Whether each interrupt and each `SET_IRQS` goes out as an [`Output`] of its own.
    pub interrupts: bool,
    /// Whether each mapping that is made or ended goes out as an [`Output`] of its own.
    pub mappings: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settle_ns: 100_000_000,
            stuck_ns: 1_000_000_000,
            stages: false,
            interrupts: false,
            mappings: false,
        }
    }
}

/// Turns a trace's events, in order of time, into what they mean.
#[derive(Debug)]
pub struct Correlator {
    desk: Desk,
    devices: BTreeMap<DeviceKey, Device>,
    lost_ns: Option<u64>,
}

impl Correlator {
    /// Nothing seen yet.
    pub fn new(options: Options) -> Self {
        Self {
            desk: Desk::new(options),
            devices: BTreeMap::new(),
            lost_ns: None,
        }
    }

    /// The next event. Events are in order of time, as far as the source can tell.
    pub fn push(&mut self, event: &Event) -> Vec<Output> {
        self.settle(event.time_ns);
        self.dispatch(event);
        self.desk.take()
    }

    /// No event came up to `now_ns` (CLOCK_MONOTONIC): what has settled by then.
    pub fn advance(&mut self, now_ns: u64) -> Vec<Output> {
        self.settle(now_ns);
        self.desk.take()
    }

    /// The trace ended at `end_ns` (CLOCK_MONOTONIC): everything that is left.
    pub fn finish(&mut self, end_ns: u64) -> Vec<Output> {
        self.settle(end_ns);
        for device in self.devices.values_mut() {
            device.end_of_trace(&mut self.desk, end_ns);
        }
        self.devices.clear();
        self.desk.release(u64::MAX);
        self.desk.take()
    }

    /// What it adds up to so far.
    pub fn stats(&self) -> &Stats {
        &self.desk.stats
    }

    /// What it adds up to.
    pub fn into_stats(self) -> Stats {
        self.desk.stats
    }

    /// The name of a device of this trace.
    pub fn device_name(&self, device: DeviceKey) -> &str {
        self.devices
            .get(&device)
            .map_or(UNKNOWN_DEVICE, |device| &device.name)
    }

    fn settle(&mut self, now: u64) {
        for device in self.devices.values_mut() {
            device.settle(&mut self.desk, now);
        }
        self.desk.release(now);
    }

    fn device(&mut self, key: DeviceKey) -> (&mut Device, &mut Desk) {
        (self.devices.entry(key).or_default(), &mut self.desk)
    }

    fn dispatch(&mut self, event: &Event) {
        let now = event.time_ns;
        let lost_ns = self.lost_ns;
        match &event.body {
            Body::Lost { .. } => {
                self.lost_ns = Some(now);
                self.desk.lose();
                self.devices.values_mut().for_each(Device::lose);
            }
            Body::Device { device, name, .. } => name.clone_into(&mut self.device(*device).0.name),
            Body::Close { device, .. } => {
                let (device, desk) = self.device(*device);
                device.close(desk, now);
            }
            Body::Enter { device, call } => {
                let (device, desk) = self.device(*device);
                device.enter(desk, event, call);
            }
            Body::Exit {
                device,
                call,
                begin_ns,
                result,
                answer,
            } => {
                let (device, desk) = self.device(*device);
                let lossy = lost_ns.is_some_and(|lost_ns| *begin_ns <= lost_ns);
                let exit = ioctl::Exit {
                    begin_ns: *begin_ns,
                    result: *result,
                    answer,
                    lossy,
                };
                device.exit(desk, event, call, &exit);
            }
            Body::Context { target, .. } => self.device(target.device).0.context(*target),
            Body::Signal {
                target,
                addend,
                count,
                ..
            } => {
                let (device, desk) = self.device(target.device);
                device.signal(desk, event, *target, *addend, *count);
            }
            Body::Read {
                target,
                value,
                result,
                ..
            } => {
                let (device, desk) = self.device(target.device);
                device.read(desk, event, *target, *value, result.is_ok());
            }
            Body::Write {
                target,
                begin_ns,
                value,
                result,
                ..
            } => {
                if result.is_ok() {
                    let (device, desk) = self.device(target.device);
                    device.write(desk, event, *target, *begin_ns, *value);
                }
            }
            Body::Release { target, .. } => {
                let (device, desk) = self.device(target.device);
                device.released(desk, now, *target);
            }
            Body::Map {
                device,
                region,
                offset,
                size,
                address,
                result,
                ..
            } => {
                let (device, desk) = self.device(*device);
                let area = Area {
                    offset: *offset,
                    size: *size,
                };
                match result {
                    Ok(()) => device.map(desk, event, *region, area, *address),
                    Err(_) => device.map_refused(desk, event, *region),
                }
            }
            Body::Unmap {
                device,
                region,
                offset,
                size,
                address,
            } => {
                let (device, desk) = self.device(*device);
                let area = Area {
                    offset: *offset,
                    size: *size,
                };
                device.unmap(desk, event, *region, area, *address);
            }
            Body::StateWriteEnter {
                device,
                region,
                word,
            } => {
                let (device, desk) = self.device(*device);
                device.state_write_enter(desk, event, *region, *word);
            }
            Body::StateWriteExit {
                device,
                region,
                word,
                begin_ns,
                result,
            } => {
                let (device, desk) = self.device(*device);
                let lossy = lost_ns.is_some_and(|lost_ns| *begin_ns <= lost_ns);
                let exit = ioctl::Exit {
                    begin_ns: *begin_ns,
                    result: *result,
                    answer: &crate::event::Answer::None,
                    lossy,
                };
                device.state_write_exit(desk, event, *region, *word, &exit);
            }
            Body::Owner { .. }
            | Body::Consumed { .. }
            | Body::Fault { .. }
            | Body::Zap { .. }
            | Body::ConfigWrite { .. }
            | Body::Dma { .. }
            | Body::NodeOpen { .. }
            | Body::NodeClose { .. }
            | Body::DeviceFile { .. }
            | Body::Data { .. }
            | Body::PrecopyInfo { .. } => {}
        }
    }
}
