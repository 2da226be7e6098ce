//! The time in which a virtual machine ran nowhere, and how much of it went by in the kernel.
//!
//! It begins when the source stops the machine to hand it over, and ends when the destination runs
//! it (if that VMM's log is read too), when the source has handed it over, or when the source runs
//! it again. What the kernel did within it for the devices that the logs name is the kernel's
//! share, the rest is the VMMs'.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::calls::{Calls, Kind, Span};
use super::checkpoint::{Checkpoint, Meaning};
use crate::event::{Body, DeviceKey, Event};

/// How long after an end the words of other logs, and calls that were under way, are waited for,
/// ns.
const SETTLE_NS: u64 = 1_000_000_000;

/// How a downtime ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The machine ran at the destination.
    Moved,
    /// The source had handed it over; when it ran again no log says.
    HandedOver,
    /// The migration failed or was cancelled, and the source went on.
    WentOn,
    /// The trace ended first.
    TraceEnd,
}

impl End {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::HandedOver => "handed_over",
            Self::WentOn => "went_on",
            Self::TraceEnd => "trace_end",
        }
    }
}

/// Time between two checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The checkpoint that it begins with.
    pub from: String,
    /// The one that it ends with; `None` where the trace ended.
    pub to: Option<String>,
    /// When it began (CLOCK_MONOTONIC ns).
    pub begin_ns: u64,
    /// When it ended (CLOCK_MONOTONIC ns).
    pub end_ns: u64,
    /// Time in which at least one call was under way, by what it was for, ns. What overlaps counts
    /// once, for the first kind.
    pub kernel: BTreeMap<Kind, u64>,
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

    /// The rest: the VMMs' share, and what lies between them, ns.
    pub fn vmm_ns(&self) -> u64 {
        self.duration().saturating_sub(self.kernel_ns())
    }
}

/// A downtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// The log of the source.
    pub source: String,
    /// The log that told its end, if that is another one.
    pub destination: Option<String>,
    /// How it ended.
    pub end: End,
    /// The whole of it.
    pub whole: Part,
    /// From checkpoint to checkpoint; only the whole where QEMU's `vmstate_downtime_checkpoint`
    /// is not in the logs.
    pub parts: Vec<Part>,
    /// The devices whose calls are the kernel's share, by name; empty for all, where the logs name
    /// none.
    pub devices: BTreeSet<String>,
    /// How far the begin and the end may be off, ns: of the clock and the stamps' resolution.
    pub error_ns: u64,
    /// Whether all calls are there; else records were lost, or were too many to remember, and the
    /// kernel's share may be larger.
    pub complete: bool,
}

#[derive(Debug)]
struct Window {
    begin: Checkpoint,
    steps: Vec<Checkpoint>,
    end: Option<(End, u8, Checkpoint)>,
    due_ns: u64,
}

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
        if let Body::Device { device, name, .. } = &event.body {
            self.names.insert(*device, name.clone());
        }
        self.calls.learn(event);
    }

    /// The next checkpoint. They come in order of time, as far as the logs can tell.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        if let Some(device) = &checkpoint.device {
            let named = self.named.entry(checkpoint.log.clone()).or_default();
            named.insert(device.clone());
        }
        let own = |window: &Window| window.begin.log == checkpoint.log;
        let place = match self.windows.iter().position(own) {
            Some(place) => Some(place),
            // Another machine's downtime is not told apart where there are two.
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
            window.learn(checkpoint, meaning);
        }
    }

    /// What has settled by `now_ns` (CLOCK_MONOTONIC).
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
            whole: part(begin.name(), last, begin_ns, end_ns),
            parts,
            devices,
            error_ns: begin.error_ns.max(end.error_ns),
            complete: self.calls.whole_since(begin_ns),
            source: begin.log,
        });
    }

    /// The calls for `devices`, and what their processes did that is no single device's.
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

    fn learn(&mut self, checkpoint: &Checkpoint, meaning: Meaning) {
        let own = self.begin.log == checkpoint.log;
        if checkpoint.event == "vmstate_downtime_checkpoint" {
            self.steps.push(checkpoint.clone());
        }
        let end = match meaning {
            // The exact word for it, the first sign of it, and one for each device.
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
        // A machine that moved may be back at the source soon: that is another story.
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

/// The time from `begin_ns` to `end_ns` in which a call was under way, by the first kind.
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
    let mut under_way: BTreeMap<Kind, i64> = BTreeMap::new();
    let mut sums = BTreeMap::new();
    let mut last_ns = begin_ns;
    for (ns, kind, change) in edges {
        if let Some(first) = under_way
            .iter()
            .find(|(_, count)| **count > 0)
            .map(|(kind, _)| *kind)
            && ns > last_ns
        {
            *sums.entry(first).or_default() += ns - last_ns;
        }
        last_ns = ns;
        *under_way.entry(kind).or_default() += change;
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::checkpoint::tests::checkpoint;
    use super::*;
    use crate::event::{Answer, Call, DeviceState, FeatureData, FeatureOp, Origin, Task};

    const SOURCE: DeviceKey = DeviceKey(1);
    const FOREIGN: DeviceKey = DeviceKey(9);

    fn event(time_ns: u64, body: Body) -> Event {
        let task = Task {
            pid: 5,
            tid: 6,
            comm: "migration".into(),
        };
        Event {
            time_ns,
            cpu: 0,
            task,
            body,
        }
    }

    fn state_change(device: DeviceKey, begin_ns: u64, end_ns: u64) -> [Event; 2] {
        let op = FeatureOp {
            get: false,
            set: true,
            probe: false,
        };
        let call = || Call::Feature {
            feature: 2,
            op,
            data: FeatureData::State(DeviceState::StopCopy),
        };
        let enter = Body::Enter {
            device,
            call: call(),
        };
        let exit = Body::Exit {
            device,
            call: call(),
            begin_ns,
            result: Ok(0),
            answer: Answer::None,
        };
        [event(begin_ns, enter), event(end_ns, exit)]
    }

    fn read(begin_ns: u64, end_ns: u64) -> Event {
        let body = Body::Data {
            device: Some(SOURCE),
            file: 1,
            write: false,
            requested: 1,
            begin_ns,
            result: Ok(1),
        };
        event(end_ns, body)
    }

    fn known(device: DeviceKey, name: &str) -> Event {
        let name = name.to_owned();
        let body = Body::Device {
            device,
            name,
            driver: None,
            origin: Origin::Seen,
        };
        event(1, body)
    }

    fn scene() -> Downtimes {
        let mut downtimes = Downtimes::default();
        downtimes.event(&known(SOURCE, "0000:01:00.0"));
        downtimes.event(&known(FOREIGN, "0000:09:00.0"));
        let set =
            "vfio_migration_set_state  (0000:01:00.0) new state STOP_COPY, recover state STOP";
        for (time_ns, words) in [
            (90, set),
            (100, "vmstate_downtime_checkpoint src-downtime-start"),
            (105, "vm_state_notify running 0 reason 5 (finish-migrate)"),
            (200, "vmstate_downtime_checkpoint src-vm-stopped"),
        ] {
            downtimes.checkpoint(&checkpoint("src", time_ns, words));
        }
        for events in [
            // It began before the downtime; only what is within counts.
            state_change(SOURCE, 50, 150),
            state_change(FOREIGN, 150, 200),
        ] {
            events.iter().for_each(|event| downtimes.event(event));
        }
        // Twenty of it are within the state change.
        downtimes.event(&read(130, 180));
        downtimes.event(&read(210, 220));
        downtimes
    }

    #[test]
    fn a_machine_that_moved() {
        let mut downtimes = scene();
        let done = "vmstate_downtime_checkpoint src-downtime-end";
        downtimes.checkpoint(&checkpoint("src", 290, done));
        let runs = "vmstate_downtime_checkpoint dst-precopy-bh-vm-started";
        downtimes.checkpoint(&checkpoint("dst", 300, runs));
        assert!(downtimes.advance(SETTLE_NS).is_empty());
        let got = downtimes.advance(300 + SETTLE_NS);
        let [downtime] = &got[..] else {
            panic!("{got:?}")
        };
        assert_eq!(downtime.end, End::Moved);
        assert_eq!(downtime.destination.as_deref(), Some("dst"));
        let whole = &downtime.whole;
        assert_eq!((whole.duration(), whole.kernel_ns()), (200, 90));
        let kernel = BTreeMap::from([(Kind::StateChange, 50), (Kind::StateData, 40)]);
        assert_eq!(whole.kernel, kernel);
        let parts: Vec<(&str, u64, u64)> = downtime
            .parts
            .iter()
            .map(|part| (part.from.as_str(), part.duration(), part.kernel_ns()))
            .collect();
        let expected = [
            ("src-downtime-start", 100, 80),
            ("src-vm-stopped", 90, 10),
            ("src-downtime-end", 10, 0),
        ];
        assert_eq!(parts, expected);
        assert!(downtime.complete && downtime.devices.contains("0000:01:00.0"));
        assert!(downtimes.finish(u64::MAX).is_empty());
    }

    #[test]
    fn a_machine_that_went_on_at_the_source() {
        let mut downtimes = scene();
        downtimes.checkpoint(&checkpoint(
            "src",
            280,
            "migrate_set_state new state failed",
        ));
        let runs = "vm_state_notify running 1 reason 9 (running)";
        downtimes.checkpoint(&checkpoint("src", 300, runs));
        let got = downtimes.finish(400);
        assert_eq!((got[0].end, got[0].whole.duration()), (End::WentOn, 200));
        assert_eq!(got[0].destination, None);
    }

    #[test]
    fn the_source_alone_knows_when_it_handed_over() {
        let mut downtimes = scene();
        let done = "vmstate_downtime_checkpoint src-downtime-end";
        downtimes.checkpoint(&checkpoint("src", 290, done));
        let got = downtimes.finish(400);
        assert_eq!(
            (got[0].end, got[0].whole.duration()),
            (End::HandedOver, 190)
        );
    }

    #[test]
    fn what_did_not_end_and_what_was_lost() {
        let mut downtimes = scene();
        let [enter, _] = state_change(SOURCE, 350, 999);
        downtimes.event(&enter);
        downtimes.event(&event(360, Body::Lost { count: 1 }));
        let got = downtimes.finish(400);
        assert_eq!(
            (got[0].end, got[0].whole.to.as_deref()),
            (End::TraceEnd, None)
        );
        assert_eq!(got[0].whole.kernel[&Kind::StateChange], 100);
        assert!(!got[0].complete);
    }

    #[test]
    fn two_machines_at_once_are_kept_apart() {
        let mut downtimes = scene();
        let stop = "vm_state_notify running 0 reason 5 (finish-migrate)";
        downtimes.checkpoint(&checkpoint("other", 210, stop));
        let runs = "vmstate_downtime_checkpoint dst-precopy-bh-vm-started";
        downtimes.checkpoint(&checkpoint("dst", 300, runs));
        let got = downtimes.finish(400);
        assert_eq!(got.len(), 2);
        assert!(got.iter().all(|downtime| downtime.end == End::TraceEnd));
    }

    proptest! {
        #[test]
        fn the_shares_add_up(spans in prop::collection::vec((0_u64..100, 0_u64..100, 0_usize..7), 0..30)) {
            let spans: Vec<Span> = spans
                .into_iter()
                .map(|(begin_ns, length, kind)| Span {
                    begin_ns,
                    end_ns: begin_ns + length,
                    kind: Kind::ALL[kind],
                    device: None,
                    pid: 1,
                })
                .collect();
            let sums = split(&spans, 20, 80);
            let covered = (20..80).filter(|ns| spans.iter().any(|span| span.begin_ns <= *ns && *ns < span.end_ns)).count();
            prop_assert_eq!(sums.values().sum::<u64>(), covered as u64);
        }
    }
}
