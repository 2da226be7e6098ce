//! The calls that the kernel served for VMMs, each with its begin and end: calls that returned,
//! and calls in flight.

use std::collections::{HashMap, VecDeque};

use macro_rules_attribute::apply;

use crate::event::{Body, Call, DeviceKey, Event, Exit, FeatureData, StateWriteExit};
use crate::word::word;

/// What a call was for. Where calls overlap, the first kind in this order counts.
#[apply(word!)]
pub enum Kind {
    /// A change of the migration state.
    StateChange,
    /// Migration data: read, write and PRECOPY_INFO on the data fd.
    StateData,
    /// A fault on a mapped region.
    Fault,
    /// Interrupts were set up or taken down.
    Interrupts,
    /// A DMA map or unmap.
    Dma,
    /// A reset.
    Reset,
    /// Any other call on the device.
    Other,
}

impl Kind {
    /// The name in text output.
    pub fn words(self) -> &'static str {
        match self {
            Self::StateChange => "state changes",
            Self::StateData => "state data",
            Self::Fault => "faults",
            Self::Interrupts => "interrupt setup",
            Self::Dma => "DMA mappings",
            Self::Reset => "resets",
            Self::Other => "other calls",
        }
    }

    fn of(call: &Call) -> Self {
        match call {
            Call::Feature {
                data: FeatureData { state: Some(_), .. },
                ..
            } => Self::StateChange,
            Call::SetIrqs { .. } => Self::Interrupts,
            Call::Reset | Call::HotReset => Self::Reset,
            _ => Self::Other,
        }
    }
}

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it began (CLOCK_MONOTONIC ns).
    pub begin_ns: u64,
    /// When it returned (CLOCK_MONOTONIC ns).
    pub end_ns: u64,
    /// What it was for.
    pub kind: Kind,
    /// The device; `None` for a call on no single device (DMA).
    pub device: Option<DeviceKey>,
    /// The process.
    pub pid: u32,
}

/// How many calls are kept: about 20 MB, enough for hours of most migrations.
const KEPT: usize = 1 << 19;

/// So many calls are in flight at a time; then all that began earlier are dropped.
const IN_FLIGHT: usize = 4096;

/// The calls of a trace, the newest of them.
#[derive(Debug, Default)]
pub struct Calls {
    returned: VecDeque<Span>,
    /// By device and thread: begin time, kind, process.
    in_flight: HashMap<(DeviceKey, u32), (u64, Kind, u32)>,
    /// The latest return of a call that is no longer kept (CLOCK_MONOTONIC ns).
    dropped_ns: Option<u64>,
    /// When records were last lost (CLOCK_MONOTONIC ns).
    lost_ns: Option<u64>,
}

impl Calls {
    /// Records the call that `event` begins or ends.
    pub fn record(&mut self, event: &Event) {
        let mut begin = |device, kind| {
            if self.in_flight.len() >= IN_FLIGHT {
                self.in_flight.clear();
                self.dropped_ns = self.dropped_ns.max(Some(event.time_ns));
            }
            let entry = (event.time_ns, kind, event.task.pid);
            self.in_flight.insert((device, event.task.tid), entry);
        };
        match &event.body {
            Body::Enter { device, call } => begin(*device, Kind::of(call)),
            Body::StateWriteEnter(write) => begin(write.device, Kind::StateChange),
            Body::Exit(Exit { device, .. })
            | Body::StateWriteExit(StateWriteExit { device, .. }) => {
                self.in_flight.remove(&(*device, event.task.tid));
            }
            Body::Close { device, .. } => self.in_flight.retain(|(open, _), _| open != device),
            Body::Lost(lost) if lost.touches_calls() => self.lost_ns = Some(event.time_ns),
            _ => {}
        }
        if let Some((begin_ns, kind)) = returned(&event.body) {
            self.keep(Span {
                begin_ns,
                end_ns: event.time_ns,
                kind,
                device: event.device(),
                pid: event.task.pid,
            });
        }
    }

    fn keep(&mut self, span: Span) {
        if self.returned.len() == KEPT
            && let Some(oldest) = self.returned.pop_front()
        {
            self.dropped_ns = self.dropped_ns.max(Some(oldest.end_ns));
        }
        self.returned.push_back(span);
    }

    /// All calls that overlap the time from `begin_ns` to `end_ns`, cut to it; calls in flight
    /// included.
    pub fn between(&self, begin_ns: u64, end_ns: u64) -> Vec<Span> {
        let open = self.in_flight.iter();
        let open = open.map(|((device, _), (begin_ns, kind, pid))| Span {
            begin_ns: *begin_ns,
            end_ns: u64::MAX,
            kind: *kind,
            device: Some(*device),
            pid: *pid,
        });
        let cut = |span: Span| Span {
            begin_ns: span.begin_ns.max(begin_ns),
            end_ns: span.end_ns.min(end_ns),
            ..span
        };
        let touching = |span: &Span| span.begin_ns < span.end_ns;
        self.returned
            .iter()
            .copied()
            .chain(open)
            .map(cut)
            .filter(touching)
            .collect()
    }

    /// Whether every call since `begin_ns` is kept and no record was lost since then.
    pub fn complete_since(&self, begin_ns: u64) -> bool {
        let before = |ns: Option<u64>| ns.is_none_or(|ns| ns < begin_ns);
        before(self.dropped_ns) && before(self.lost_ns)
    }
}

/// The begin time and the kind of the call whose return `body` is.
fn returned(body: &Body) -> Option<(u64, Kind)> {
    Some(match body {
        Body::Exit(exit) => (exit.begin_ns, Kind::of(&exit.call)),
        Body::StateWriteExit(write) => (write.begin_ns, Kind::StateChange),
        Body::Data(data) => (data.begin_ns, Kind::StateData),
        Body::PrecopyInfo(info) => (info.begin_ns, Kind::StateData),
        Body::Fault(fault) => (fault.begin_ns, Kind::Fault),
        Body::Dma(call) => (call.begin_ns, Kind::Dma),
        Body::ConfigWrite(write) => (write.begin_ns, Kind::Other),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
