//! Events → cycles, transitions and findings.
//!
//! ```text
//! event → dispatch → device ┬─ signal, ioctl, memory → open cycles ┬─ settle → desk → Output
//!                           ├─ change, feature → stays, changes ───┤
//!                           ├─ episode → zaps                      │
//!                           └─ learned facts ─────────────→ rules ─┘
//! ```
//! Pure: no clock, no file, no syscall. Time is what the events say; a caller that has no event
//! says how late it is with [`Correlator::advance`].
//!
//! Three conventions:
//! * What was not observed is `None`. Nothing is assumed about the time before the trace.
//! * One cause gives one finding: a cycle that a finding explains is not blamed again.
//! * After [`Body::Lost`](crate::event::Body::Lost) every cycle that was open ends as `incomplete: records lost`, no finding
//!   speaks of it, and what was learned (mappings, descriptions, counters) is learned anew.

mod ack;
mod activity;
mod areas;
mod cause;
mod change;
mod counter;
mod device;
mod dispatch;
mod dma;
mod early;
mod episode;
mod feature;
mod fsm;
mod inferred;
mod interrupt;
mod ioctl;
mod mapping;
mod memory;
mod open;
mod owner;
mod p2p;
mod report;
mod rule;
mod settle;
mod signal;
mod stats;
mod stay;
mod transition;
mod vector;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use crate::event::{DeviceKey, Event};
use crate::model::{Output, Stats};
use device::Device;
use dma::DmaMaps;
use p2p::Stray;
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
    /// Whether every reader of eventfds is seen, the kernel's own (KVM's irqfd, virqfds) among them.
    /// If not, nobody is said not to read an interrupt.
    pub sees_consumers: bool,
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
            sees_consumers: true,
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
    dma: DmaMaps,
    /// Regions that lost their mmap while they were mapped for DMA, until it is known why.
    strays: Vec<Stray>,
    /// Virtual machines by the process that runs them.
    vms: BTreeMap<u32, String>,
    lost_ns: Option<u64>,
}

impl Correlator {
    /// Nothing seen yet.
    pub fn new(options: Options) -> Self {
        Self {
            desk: Desk::new(options),
            devices: BTreeMap::new(),
            dma: DmaMaps::default(),
            strays: Vec::new(),
            vms: BTreeMap::new(),
            lost_ns: None,
        }
    }

    /// The next event. Events are in order of time, as far as the source can tell.
    pub fn push(&mut self, event: &Event) -> Vec<Output> {
        self.settle(event.time_ns);
        self.excuse(event);
        self.dispatch(event);
        self.accuse_trapped(event);
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
        self.strays.clear();
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
        self.settle_strays(now);
        self.desk.release(now);
    }
}
