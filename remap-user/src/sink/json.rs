//! JSON Lines: the contract of `docs/json.md`, whose schema is `docs/schema/remap.schema.json`.
//!
//! One object per line, `type` first. Times are CLOCK_MONOTONIC nanoseconds; null says that
//! something was not observed.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::Sink;
use super::event_line::{EventLine, Keys};
use crate::correlate::{
    Cycle, DeviceStats, Finding, Output, Quantiles, RegionStats, Stage, StageLine, Summary,
    Transition, TransitionRef, View,
};
use crate::event::{Errno, Event, Task};
use crate::vfio::irq::Encoding;
use crate::vfio::region::Area;

/// Writes JSON Lines.
#[derive(Debug)]
pub struct Json<W> {
    writer: W,
    /// Contexts by order of appearance: their addresses stay inside.
    keys: Keys,
}

impl<W: Write> Json<W> {
    /// Writes to `writer`, a line at a time.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            keys: Keys::default(),
        }
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.writer.write_all(&bytes)
    }
}

impl<W: Write> Sink for Json<W> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        let line = match output {
            Output::Cycle(cycle) => Line::Cycle(CycleLine::of(cycle)),
            Output::Transition(transition) => Line::Transition(TransitionLine::of(transition)),
            Output::Finding(finding) => Line::Finding(FindingLine::of(finding)),
            Output::Stage(stage) => Line::Stage(StageObject::of(stage)),
        };
        self.line(&line)
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        let line = Line::Event(EventLine::of(event, device, &mut self.keys));
        self.line(&line)
    }

    fn owner(&mut self, _: u32, _: Option<&str>) {}

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.line(&Line::Summary(SummaryLine::of(summary)))?;
        self.writer.flush()
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Cycle(CycleLine<'a>),
    Transition(TransitionLine<'a>),
    Finding(FindingLine<'a>),
    Stage(StageObject<'a>),
    Event(EventLine<'a>),
    Summary(SummaryLine<'a>),
}

#[derive(Serialize)]
pub(super) struct AreaLine {
    offset: u64,
    size: u64,
}

impl AreaLine {
    pub(super) fn all(areas: &[Area]) -> Vec<Self> {
        let line = |area: &Area| Self {
            offset: area.offset,
            size: area.size,
        };
        areas.iter().map(line).collect()
    }
}

#[derive(Serialize)]
struct ViewLine {
    flags: u32,
    areas: Vec<AreaLine>,
}

impl ViewLine {
    fn of(view: &View) -> Self {
        Self {
            flags: view.flags,
            areas: AreaLine::all(&view.areas),
        }
    }
}

#[derive(Serialize)]
struct AckLine {
    form: &'static str,
    value: Option<u64>,
}

#[derive(Serialize)]
struct TaskLine<'a> {
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> TaskLine<'a> {
    fn of(task: &'a Task) -> Self {
        Self {
            pid: task.pid,
            tid: task.tid,
            comm: &task.comm,
        }
    }
}

#[derive(Serialize)]
struct TransitionRefLine {
    id: u64,
    from: Option<String>,
    to: Option<String>,
    begin_ns: u64,
}

impl TransitionRefLine {
    fn of(reference: &TransitionRef) -> Self {
        Self {
            id: reference.id,
            from: reference.from.map(|state| state.to_string()),
            to: reference.to.map(|state| state.to_string()),
            begin_ns: reference.begin_ns,
        }
    }
}

/// `bitmap` or `vectors`.
pub(super) fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Bitmap => "bitmap",
        Encoding::Vectors => "vectors",
    }
}

#[derive(Serialize)]
struct CycleLine<'a> {
    device: &'a str,
    irq_index: u32,
    encoding: &'static str,
    region: u32,
    trigger_id: u64,
    outcome: &'static str,
    trigger_ns: Option<u64>,
    wake_ns: Option<u64>,
    requery_ns: Option<u64>,
    unmap_ns: Option<u64>,
    map_ns: Option<u64>,
    ack_ns: Option<u64>,
    released_ns: Option<u64>,
    ack: AckLine,
    before: Option<ViewLine>,
    after: Option<ViewLine>,
    pid: Option<u32>,
    comm: Option<&'a str>,
    missing: Vec<&'static str>,
    reason: Option<&'a str>,
    ack_return_ns: Option<u64>,
    released_source: Option<&'static str>,
    transition: Option<TransitionRefLine>,
    threads: BTreeMap<&'static str, TaskLine<'a>>,
}

impl<'a> CycleLine<'a> {
    fn of(cycle: &'a Cycle) -> Self {
        let ns = |stage| cycle.stages.ns(stage);
        let owner = cycle.owner();
        let threads = Stage::ALL.into_iter().filter_map(|stage| {
            let stamp = cycle.stages.get(stage)?;
            Some((stage.name(), TaskLine::of(&stamp.task)))
        });
        Self {
            device: &cycle.device,
            irq_index: cycle.irq_index,
            encoding: encoding_name(cycle.encoding),
            region: cycle.region,
            trigger_id: cycle.trigger_id,
            outcome: cycle.outcome.name(),
            trigger_ns: ns(Stage::Trigger),
            wake_ns: ns(Stage::Wake),
            requery_ns: ns(Stage::Requery),
            unmap_ns: ns(Stage::Unmap),
            map_ns: ns(Stage::Map),
            ack_ns: ns(Stage::Ack),
            released_ns: ns(Stage::Released),
            ack: AckLine {
                form: cycle.ack.form.name(),
                value: cycle.ack.value,
            },
            before: cycle.before.as_ref().map(ViewLine::of),
            after: cycle.after.as_ref().map(ViewLine::of),
            pid: owner.map(|task| task.pid),
            comm: owner.map(|task| task.comm.as_str()),
            missing: cycle.missing.iter().map(|stage| stage.name()).collect(),
            reason: cycle.reason.as_deref(),
            ack_return_ns: cycle.ack_return_ns,
            released_source: cycle.released_source.map(|source| source.name()),
            transition: cycle.transition.as_ref().map(TransitionRefLine::of),
            threads: threads.collect(),
        }
    }
}

/// `ok` or the errno's name.
pub(super) fn result_name<T>(result: Result<T, Errno>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(errno) => errno.to_string(),
    }
}

#[derive(Serialize)]
struct TransitionLine<'a> {
    device: &'a str,
    from: Option<String>,
    to: Option<String>,
    begin_ns: u64,
    end_ns: Option<u64>,
    result: Option<String>,
    waited_ns: Option<u64>,
    id: u64,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> TransitionLine<'a> {
    fn of(transition: &'a Transition) -> Self {
        Self {
            device: &transition.device,
            from: transition.from.map(|state| state.to_string()),
            to: transition.to.map(|state| state.to_string()),
            begin_ns: transition.begin_ns,
            end_ns: transition.end_ns,
            result: transition.result.map(result_name),
            waited_ns: transition.waited_ns,
            id: transition.id,
            pid: transition.task.pid,
            tid: transition.task.tid,
            comm: &transition.task.comm,
        }
    }
}

#[derive(Serialize)]
struct FindingLine<'a> {
    rule: &'static str,
    device: &'a str,
    region: Option<u32>,
    text: &'a str,
    advice: &'static str,
    time_ns: u64,
    trigger_id: Option<u64>,
}

impl<'a> FindingLine<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            rule: finding.rule.id(),
            device: &finding.device,
            region: finding.region,
            text: &finding.text,
            advice: finding.rule.advice(),
            time_ns: finding.time_ns,
            trigger_id: finding.trigger_id,
        }
    }
}

#[derive(Serialize)]
struct StageObject<'a> {
    time_ns: u64,
    device: &'a str,
    region: u32,
    trigger_id: u64,
    stage: &'static str,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> StageObject<'a> {
    fn of(line: &'a StageLine) -> Self {
        Self {
            time_ns: line.time_ns,
            device: &line.device,
            region: line.region,
            trigger_id: line.trigger_id,
            stage: line.stage.name(),
            pid: line.task.pid,
            tid: line.task.tid,
            comm: &line.task.comm,
        }
    }
}

#[derive(Serialize)]
struct QuantilesLine {
    count: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

impl QuantilesLine {
    fn of(quantiles: Quantiles) -> Self {
        Self {
            count: quantiles.count,
            p50_ns: quantiles.p50,
            p90_ns: quantiles.p90,
            p99_ns: quantiles.p99,
            max_ns: quantiles.max,
        }
    }
}

#[derive(Serialize)]
struct RegionLine {
    region: u32,
    cycles: u64,
    outcomes: BTreeMap<&'static str, u64>,
    findings: BTreeMap<&'static str, u64>,
    stages: BTreeMap<&'static str, QuantilesLine>,
    total: Option<QuantilesLine>,
}

impl RegionLine {
    fn of(region: u32, stats: &RegionStats) -> Self {
        let stages = Stage::ALL.into_iter().filter_map(|stage| {
            let quantiles = stats.stage(stage)?;
            Some((stage.name(), QuantilesLine::of(quantiles)))
        });
        let outcomes = stats.outcomes.iter();
        let findings = stats.findings.iter();
        Self {
            region,
            cycles: stats.cycles(),
            outcomes: outcomes.map(|(key, n)| (key.name(), *n)).collect(),
            findings: findings.map(|(key, n)| (key.id(), *n)).collect(),
            stages: stages.collect(),
            total: stats.total().map(QuantilesLine::of),
        }
    }
}

#[derive(Serialize)]
struct DeviceLine<'a> {
    device: &'a str,
    transitions: u64,
    interrupts: &'a BTreeMap<u32, u64>,
    findings: BTreeMap<&'static str, u64>,
    regions: Vec<RegionLine>,
}

impl<'a> DeviceLine<'a> {
    fn of(device: &'a str, stats: &'a DeviceStats) -> Self {
        let findings = stats.findings.iter();
        let regions = stats.regions.iter();
        Self {
            device,
            transitions: stats.transitions,
            interrupts: &stats.interrupts,
            findings: findings.map(|(key, n)| (key.id(), *n)).collect(),
            regions: regions
                .map(|(region, stats)| RegionLine::of(*region, stats))
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    seen: Option<u64>,
    delivered: u64,
    lost: &'a BTreeMap<String, u64>,
    cycles: u64,
    transitions: u64,
    findings: BTreeMap<&'static str, u64>,
    devices: Vec<DeviceLine<'a>>,
    withheld: WithheldLine,
}

#[derive(Serialize)]
struct WithheldLine {
    records: u64,
    by_class: u64,
    by_latency: u64,
}

impl<'a> SummaryLine<'a> {
    fn of(summary: &'a Summary) -> Self {
        let findings = summary.stats.findings().into_iter();
        let devices = summary.stats.devices.iter();
        Self {
            seen: summary.seen,
            delivered: summary.delivered,
            lost: &summary.lost,
            cycles: summary.stats.cycles(),
            transitions: summary.stats.transitions(),
            findings: findings.map(|(rule, n)| (rule.id(), n)).collect(),
            devices: devices
                .map(|(name, stats)| DeviceLine::of(name, stats))
                .collect(),
            withheld: WithheldLine {
                records: summary.withheld.records,
                by_class: summary.withheld.by_class,
                by_latency: summary.withheld.by_latency,
            },
        }
    }
}
