//! Events → cycles, transitions and findings.
//!
//! ```text
//! event → dispatch → device ┬─ remap      cycles of the remap IRQ  ┐
//!            │              ├─ migration  state changes, intervals │
//!            │              ├─ irq        signals, reads           ├─ rules → queue → Output
//!            │              ├─ mapping    zaps, faults             │
//!            │              ├─ region     descriptions             │
//!            │              └─ call, user                          │
//!            └───────────── dma  (of all devices) ─────────────────┘
//! ```
//! Pure: no clock, no file, no syscall. Events carry the time; a caller without an event passes the
//! time to [`Correlator::advance`].
//!
//! Each tracker owns its state and has the same verbs: it takes an event, [settles](Correlator::advance),
//! handles a loss of records, and closes. What one needs from another is an argument, never a field.
//!
//! Three conventions:
//! * What was not observed is `None`. Nothing is assumed about the time before the trace.
//! * One cause gives one finding: a cycle that a finding explains is not reported again.
//! * A loss of records ([`Lost`]) makes doubtful what those records can have been, on the devices that
//!   they can have been about. After one that can have been anything, every cycle that was open ends as
//!   `incomplete: records lost`, no finding is about it, and the stored mappings, descriptions and
//!   counters are discarded.

mod across;
mod areas;
mod call;
mod change;
mod device;
mod dispatch;
mod dma;
mod identity;
mod irq;
mod lost;
mod mapping;
mod migration;
mod moment;
mod options;
mod queue;
mod region;
mod remap;
mod report;
mod room;
mod rules;
mod span;
mod stats;
mod user;

#[cfg(test)]
pub(crate) mod tests;

pub use identity::UNKNOWN_DEVICE;
pub(crate) use migration::is_one_arc;
pub use options::Options;

use crate::event::{Event, Lost, LostKind};
use crate::model::{Output, Stats};
use dma::{Dma, PendingDmaFinding};
use queue::OutputQueue;
use room::Devices;
use user::Machines;

/// Turns a trace's events, in order of time, into what they mean.
#[derive(Debug)]
pub struct Correlator {
    queue: OutputQueue,
    devices: Devices,
    dma: Dma,
    machines: Machines,
    /// When records were last lost.
    lost_ns: Option<u64>,
}

impl Correlator {
    /// Nothing seen yet.
    pub fn new(options: Options) -> Self {
        Self {
            queue: OutputQueue::new(options),
            devices: Devices::default(),
            dma: Dma::default(),
            machines: Machines::default(),
            lost_ns: None,
        }
    }

    /// The next event. Events are in order of time, as far as the source can order them.
    pub fn push(&mut self, event: &Event) -> Vec<Output> {
        self.settle(event.time_ns);
        self.dispatch(event);
        self.queue.take()
    }

    /// No event came until `now_ns` (CLOCK_MONOTONIC): emits what has settled by then.
    pub fn advance(&mut self, now_ns: u64) -> Vec<Output> {
        self.settle(now_ns);
        self.queue.take()
    }

    /// The trace ended at `end_ns` (CLOCK_MONOTONIC): emits everything that is still open.
    pub fn finish(&mut self, end_ns: u64) -> Vec<Output> {
        self.settle(end_ns);
        self.devices.finish(&mut self.queue, end_ns);
        self.dma.lose();
        self.queue.release(u64::MAX);
        self.queue.take()
    }

    /// What it adds up to so far.
    pub fn stats(&self) -> &Stats {
        self.queue.stats()
    }

    /// What it adds up to.
    pub fn into_stats(self) -> Stats {
        self.queue.into_stats()
    }

    fn settle(&mut self, now: u64) {
        self.devices.settle(&mut self.queue, now);
        let lasting = self.dma.settle(now);
        self.report_dma(lasting);
        self.queue.release(now);
    }

    /// DMA mappings exist whose mmaps were removed: reports them.
    fn report_dma(&mut self, findings: Vec<PendingDmaFinding>) {
        for finding in findings {
            if let Some(device) = self.devices.get(finding.device) {
                device.finding(&mut self.queue, finding.time_ns, finding.verdict);
            }
        }
    }

    /// Records were lost before `now`.
    fn lose(&mut self, now: u64, lost: &Lost) {
        match (lost.records, lost.device) {
            (LostKind::Other, None) => {
                self.lost_ns = Some(now);
                self.dma.lose();
            }
            (LostKind::Other, Some(device)) => self.dma.lose_device(device),
            _ => {}
        }
        self.devices.lose(&mut self.queue, now, lost);
    }
}
