//! A finished cycle, its stages, and findings.

use std::collections::BTreeMap;

use serde::Serialize;

use super::migration::TransitionRefLine;
use super::{AreaLine, TaskLine};
use crate::model::{Cycle, Finding, Inferred, Stage, StageLine, View};
use crate::parse::irq::Encoding;
use crate::sink::event_line::origin_name;
use crate::sink::sentence;

#[derive(Serialize)]
struct ViewLine {
    flags: u32,
    areas: Option<Vec<AreaLine>>,
}

impl ViewLine {
    fn of(view: &View) -> Self {
        Self {
            flags: view.flags,
            areas: view.areas_known.then(|| AreaLine::all(&view.areas)),
        }
    }
}

#[derive(Serialize)]
struct AckLine {
    form: &'static str,
    value: Option<u64>,
}

/// `bitmap` or `vectors`.
pub(in crate::sink) fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Bitmap => "bitmap",
        Encoding::Vectors => "vectors",
    }
}

#[derive(Serialize)]
pub(super) struct CycleLine<'a> {
    device: &'a str,
    irq_index: Option<u32>,
    inferred: Option<&'static str>,
    encoding: Option<&'static str>,
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
    reason: Option<String>,
    ack_return_ns: Option<u64>,
    released_source: Option<&'static str>,
    transition: Option<TransitionRefLine>,
    threads: BTreeMap<&'static str, TaskLine<'a>>,
}

impl<'a> CycleLine<'a> {
    pub(super) fn of(cycle: &'a Cycle) -> Self {
        let ns = |stage| cycle.stages.ns(stage);
        let owner = cycle.owner();
        let threads = Stage::ALL.into_iter().filter_map(|stage| {
            let stamp = cycle.stages.get(stage)?;
            Some((stage.name(), TaskLine::of(&stamp.task)))
        });
        Self {
            device: &cycle.device,
            irq_index: cycle.irq_index,
            inferred: cycle.inferred.map(origin_name),
            encoding: cycle.encoding.map(encoding_name),
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
            reason: sentence::reason(cycle),
            ack_return_ns: cycle.ack_return_ns,
            released_source: cycle.released_source.map(|source| source.name()),
            transition: cycle.transition.as_ref().map(TransitionRefLine::of),
            threads: threads.collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct StageObject<'a> {
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
    pub(super) fn of(line: &'a StageLine) -> Self {
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
pub(super) struct FindingLine<'a> {
    rule: &'static str,
    device: &'a str,
    region: Option<u32>,
    text: String,
    advice: &'static str,
    time_ns: u64,
    trigger_id: Option<u64>,
}

impl<'a> FindingLine<'a> {
    pub(super) fn of(finding: &'a Finding) -> Self {
        Self {
            rule: finding.rule().id(),
            device: &finding.device,
            region: finding.region,
            text: sentence::finding(&finding.evidence),
            advice: finding.rule().advice(),
            time_ns: finding.time_ns,
            trigger_id: finding.trigger_id,
        }
    }
}

#[derive(Serialize)]
pub(super) struct InferredLine<'a> {
    time_ns: u64,
    device: &'a str,
    origin: &'static str,
    text: String,
    pid: u32,
    tid: u32,
    comm: &'a str,
}

impl<'a> InferredLine<'a> {
    pub(super) fn of(inferred: &'a Inferred) -> Self {
        Self {
            time_ns: inferred.time_ns,
            device: &inferred.device,
            origin: origin_name(inferred.origin),
            text: sentence::inferred(inferred),
            pid: inferred.task.pid,
            tid: inferred.task.tid,
            comm: &inferred.task.comm,
        }
    }
}
