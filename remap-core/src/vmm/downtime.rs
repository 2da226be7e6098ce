//! Downtime: the time in which a migrating virtual machine ran on neither side, and the kernel's
//! share of it.
//!
//! It begins when the source stops the machine to hand it over, and ends when the destination runs
//! it (if that VMM's log is read too), when the source has handed it over, or when the source runs
//! it again. The kernel's share is the time of calls for the devices that the logs name; the rest
//! is the VMMs' share.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use macro_rules_attribute::apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calls::{Calls, Kind, Span};
use super::checkpoint::{Checkpoint, Meaning};
use crate::event::{Body, DeviceKey, Event};
use crate::word::word;

/// How long after an end to wait for other logs, and for calls in flight to return, ns.
const SETTLE_NS: u64 = 1_000_000_000;

/// How a downtime ended.
#[apply(word!)]
pub enum End {
    /// The machine ran at the destination.
    Moved,
    /// The source had handed it over; no log has the time at which it ran again.
    HandedOver,
    /// The migration failed or was cancelled, and the source went on.
    WentOn,
    /// The trace ended first.
    TraceEnd,
}

/// Time between two checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "PartFields", from = "PartFields")]
pub struct Part {
    /// The checkpoint that it begins with.
    pub from: String,
    /// The one that it ends with; `None` where the trace ended.
    pub to: Option<String>,
    /// When it began (CLOCK_MONOTONIC ns).
    pub begin_ns: u64,
    /// When it ended (CLOCK_MONOTONIC ns).
    pub end_ns: u64,
    /// Time in which at least one call was in flight, by kind, ns. Where calls overlap, the time
    /// counts once, for the first kind.
    pub kernel: BTreeMap<Kind, u64>,
}

/// A part as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
struct PartFields {
    /// The checkpoint that it begins with.
    from: String,
    /// The one that it ends with; null where the trace ended.
    to: Option<String>,
    /// When it began (CLOCK_MONOTONIC ns).
    begin_ns: u64,
    /// When it ended (CLOCK_MONOTONIC ns).
    end_ns: u64,
    /// The kernel's share, ns.
    kernel_ns: u64,
    /// The rest: the VMMs' share, and what lies between them, ns.
    vmm_ns: u64,
    /// The kernel's share by what the calls were for, ns.
    kernel: BTreeMap<Kind, u64>,
}

impl From<Part> for PartFields {
    fn from(part: Part) -> Self {
        Self {
            kernel_ns: part.kernel_ns(),
            vmm_ns: part.vmm_ns(),
            from: part.from,
            to: part.to,
            begin_ns: part.begin_ns,
            end_ns: part.end_ns,
            kernel: part.kernel,
        }
    }
}

impl From<PartFields> for Part {
    fn from(fields: PartFields) -> Self {
        Self {
            from: fields.from,
            to: fields.to,
            begin_ns: fields.begin_ns,
            end_ns: fields.end_ns,
            kernel: fields.kernel,
        }
    }
}

impl Part {
    /// How long it took, ns.
    pub fn duration(&self) -> u64 {
        self.end_ns.saturating_sub(self.begin_ns)
    }

    /// The kernel's share, ns.
    pub fn kernel_ns(&self) -> u64 {
        self.kernel.values().sum()
    }

    /// The rest, ns: the VMMs' share and the time between them.
    pub fn vmm_ns(&self) -> u64 {
        self.duration().saturating_sub(self.kernel_ns())
    }
}

/// A downtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Downtime {
    /// The log of the source.
    pub source: String,
    /// The log that has its end, if that is not the source's.
    pub destination: Option<String>,
    /// How it ended.
    pub end: End,
    /// From begin to end.
    pub total: Part,
    /// From checkpoint to checkpoint; one part if the logs have no
    /// `vmstate_downtime_checkpoint`.
    pub parts: Vec<Part>,
    /// The names of the devices whose calls count as the kernel's share; empty if the logs name
    /// none: then all devices count.
    pub devices: BTreeSet<String>,
    /// How far the begin and the end may be off, ns: of the clock and the stamps' resolution.
    pub error_ns: u64,
    /// Whether all calls are included. If not, records were lost or calls are no longer kept, and
    /// the kernel's share may be larger.
    pub complete: bool,
}

#[derive(Debug)]
struct Window {
    begin: Checkpoint,
    steps: Vec<Checkpoint>,
    end: Option<(End, u8, Checkpoint)>,
    due_ns: u64,
}

/// So many devices have a name, and so many are named by one log.
const MOST: usize = 1024;

/// So many steps of a downtime are distinguished; QEMU has a dozen.
const STEPS: usize = 64;

/// Finds downtimes.
#[derive(Debug, Default)]
pub struct Downtimes {
    calls: Calls,
    names: HashMap<DeviceKey, String>,
    /// The devices that each log names.
    named: BTreeMap<String, BTreeSet<String>>,
    windows: Vec<Window>,
    done: Vec<Downtime>,
}

impl Downtimes {
    /// The next event.
    pub fn event(&mut self, event: &Event) {
        if let Body::Device(seen) = &event.body {
            if self.names.len() >= MOST && !self.names.contains_key(&seen.device) {
                self.names.clear();
            }
            self.names.insert(seen.device, seen.name.clone());
        }
        self.calls.record(event);
    }

    /// The next checkpoint. Checkpoints of one log come in order of time.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        if let Some(device) = &checkpoint.device {
            let named = self.named.entry(checkpoint.log.clone()).or_default();
            if named.len() < MOST {
                named.insert(device.clone());
            }
        }
        let own = |window: &Window| window.begin.log == checkpoint.log;
        let place = match self.windows.iter().position(own) {
            Some(place) => Some(place),
            // With two downtimes open, the log of a destination could belong to either.
            None => (self.windows.len() == 1).then_some(0),
        };
        let meaning = checkpoint.meaning();
        if meaning == Meaning::Stops {
            match place.filter(|place| own(&self.windows[*place])) {
                Some(place) if self.windows[place].end.is_none() => {}
                ended => {
                    if let Some(place) = ended {
                        let window = self.windows.remove(place);
                        self.close(window);
                    }
                    self.windows.push(Window::new(checkpoint.clone()));
                }
            }
        } else if let Some(window) = place.and_then(|place| self.windows.get_mut(place)) {
            window.record(checkpoint, meaning);
        }
    }

    /// The downtimes that are complete at `now_ns` (CLOCK_MONOTONIC).
    pub fn advance(&mut self, now_ns: u64) -> Vec<Downtime> {
        while let Some(place) = self
            .windows
            .iter()
            .position(|window| window.due_ns <= now_ns)
        {
            let window = self.windows.remove(place);
            self.close(window);
        }
        std::mem::take(&mut self.done)
    }

    /// The trace ended at `end_ns` (CLOCK_MONOTONIC).
    pub fn finish(&mut self, end_ns: u64) -> Vec<Downtime> {
        for mut window in std::mem::take(&mut self.windows) {
            if window.end.is_none() {
                let mut end = window.begin.clone();
                end.time_ns = end_ns.max(end.time_ns);
                window.end = Some((End::TraceEnd, 0, end));
            }
            self.close(window);
        }
        std::mem::take(&mut self.done)
    }

    fn close(&mut self, window: Window) {
        let Window {
            begin, steps, end, ..
        } = window;
        let Some((how, _, end)) = end else { return };
        let (begin_ns, end_ns) = (begin.time_ns, end.time_ns.max(begin.time_ns));
        let logs = [&begin.log, &end.log];
        let devices: BTreeSet<String> = logs
            .into_iter()
            .filter_map(|log| self.named.get(log))
            .flatten()
            .cloned()
            .collect();
        let spans = self.spans(begin_ns, end_ns, &devices);
        let last = (how != End::TraceEnd).then(|| end.name().to_owned());
        let part = |from: &str, to: Option<String>, begin_ns, end_ns| Part {
            from: from.to_owned(),
            to,
            begin_ns,
            end_ns,
            kernel: split(&spans, begin_ns, end_ns),
        };
        let mut parts = Vec::new();
        let mut from = (begin.name().to_owned(), begin_ns);
        let inside = |step: &&Checkpoint| step.time_ns < end_ns && step.time_ns >= begin_ns;
        for step in steps.iter().filter(inside) {
            let name = step.name().to_owned();
            parts.push(part(&from.0, Some(name.clone()), from.1, step.time_ns));
            from = (name, step.time_ns);
        }
        parts.push(part(&from.0, last.clone(), from.1, end_ns));
        self.done.push(Downtime {
            destination: (end.log != begin.log).then(|| end.log.clone()),
            end: how,
            total: part(begin.name(), last, begin_ns, end_ns),
            parts,
            devices,
            error_ns: begin.error_ns.max(end.error_ns),
            complete: self.calls.complete_since(begin_ns),
            source: begin.log,
        });
    }

    /// The calls for `devices`, and their processes' calls on no single device (DMA).
    fn spans(&self, begin_ns: u64, end_ns: u64, devices: &BTreeSet<String>) -> Vec<Span> {
        let mut spans = self.calls.between(begin_ns, end_ns);
        if devices.is_empty() {
            return spans;
        }
        let named = |span: &Span| {
            let name = span.device.and_then(|device| self.names.get(&device));
            name.is_some_and(|name| devices.contains(name))
        };
        let pids: BTreeSet<u32> = spans
            .iter()
            .filter(|span| named(span))
            .map(|span| span.pid)
            .collect();
        spans.retain(|span| named(span) || (span.device.is_none() && pids.contains(&span.pid)));
        spans
    }
}

impl Window {
    fn new(begin: Checkpoint) -> Self {
        Self {
            begin,
            steps: Vec::new(),
            end: None,
            due_ns: u64::MAX,
        }
    }

    fn record(&mut self, checkpoint: &Checkpoint, meaning: Meaning) {
        let own = self.begin.log == checkpoint.log;
        if checkpoint.event == "vmstate_downtime_checkpoint" && self.steps.len() < STEPS {
            self.steps.push(checkpoint.clone());
        }
        let end = match meaning {
            // The exact checkpoint, the first sign of it, or an event of one device.
            Meaning::Runs => {
                let rank = match checkpoint.event.as_str() {
                    "vmstate_downtime_checkpoint" => 4,
                    "vm_state_notify" => 3,
                    _ => 2,
                };
                (if own { End::WentOn } else { End::Moved }, rank)
            }
            Meaning::HandedOver if own => (End::HandedOver, 1),
            Meaning::Failed if own => (End::WentOn, 1),
            _ => return,
        };
        // After a move, the source's log may show the machine running again: a later migration.
        let settled = matches!(self.end, Some((End::Moved, ..))) && own;
        let better = self.end.as_ref().is_none_or(|(_, rank, _)| end.1 >= *rank);
        if better && !settled {
            self.due_ns = checkpoint
                .time_ns
                .saturating_add(SETTLE_NS)
                .min(self.due_ns);
            self.end = Some((end.0, end.1, checkpoint.clone()));
        }
    }
}

/// The time from `begin_ns` to `end_ns` in which a call was in flight, by the first kind in flight.
fn split(spans: &[Span], begin_ns: u64, end_ns: u64) -> BTreeMap<Kind, u64> {
    let mut edges = Vec::new();
    for span in spans {
        let (begin, end) = (span.begin_ns.max(begin_ns), span.end_ns.min(end_ns));
        if begin < end {
            edges.push((begin, span.kind, 1_i64));
            edges.push((end, span.kind, -1));
        }
    }
    edges.sort_unstable();
    let mut in_flight: BTreeMap<Kind, i64> = BTreeMap::new();
    let mut sums = BTreeMap::new();
    let mut last_ns = begin_ns;
    for (ns, kind, change) in edges {
        if let Some(first) = in_flight
            .iter()
            .find(|(_, count)| **count > 0)
            .map(|(kind, _)| *kind)
            && ns > last_ns
        {
            *sums.entry(first).or_default() += ns - last_ns;
        }
        last_ns = ns;
        *in_flight.entry(kind).or_default() += change;
    }
    sums
}

#[cfg(test)]
mod tests;
