//! A single event as a JSON object.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::json::{AreaLine, encoding_name, result_name};
use crate::event::{
    Answer, Body, Call, ContextKey, Event, FeatureOp, IrqAction, IrqData, Role, Target,
};

#[derive(Serialize)]
pub(super) struct EventLine<'a> {
    time_ns: u64,
    cpu: u32,
    pid: u32,
    tid: u32,
    comm: &'a str,
    device: Option<&'a str>,
    #[serde(flatten)]
    body: BodyLine<'a>,
}

impl<'a> EventLine<'a> {
    pub(super) fn of(
        event: &'a Event,
        device: &'a str,
        contexts: &mut HashMap<ContextKey, u64>,
    ) -> Self {
        // A loss is no device's own.
        let is_loss = matches!(event.body, Body::Lost { .. });
        Self {
            time_ns: event.time_ns,
            cpu: event.cpu,
            pid: event.task.pid,
            tid: event.task.tid,
            comm: &event.task.comm,
            device: (!is_loss).then_some(device),
            body: BodyLine::of(&event.body, contexts),
        }
    }
}

/// `kind field=value …`: the same fields as in JSON, without those that head a line of text.
impl fmt::Display for EventLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(&self.body) else {
            return Err(fmt::Error);
        };
        if let Some(kind) = fields.get("kind").and_then(serde_json::Value::as_str) {
            f.write_str(kind)?;
        }
        for (name, value) in fields.iter().filter(|(name, _)| *name != "kind") {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct TargetLine {
    /// Number of the eventfd context within the trace, from 1.
    context: u64,
    irq_index: u32,
    sub_index: u32,
    role: &'static str,
}

impl TargetLine {
    fn of(context: ContextKey, target: Target, contexts: &mut HashMap<ContextKey, u64>) -> Self {
        let next = contexts.len() as u64 + 1;
        Self {
            context: *contexts.entry(context).or_insert(next),
            irq_index: target.index,
            sub_index: target.sub,
            role: match target.role {
                Role::Trigger => "trigger",
                Role::Mask => "mask",
                Role::Unmask => "unmask",
            },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum BodyLine<'a> {
    Device,
    Close,
    Enter {
        call: CallLine<'a>,
    },
    Exit {
        call: CallLine<'a>,
        begin_ns: u64,
        result: String,
        returned: Option<i64>,
        answer: Option<AnswerLine<'a>>,
    },
    Context {
        #[serde(flatten)]
        target: TargetLine,
        fd: i32,
    },
    Signal {
        #[serde(flatten)]
        target: TargetLine,
        addend: u64,
        count: Option<u64>,
        inside: bool,
    },
    Read {
        #[serde(flatten)]
        target: TargetLine,
        value: Option<u64>,
        result: String,
    },
    Write {
        #[serde(flatten)]
        target: TargetLine,
        begin_ns: u64,
        value: Option<u64>,
        result: String,
    },
    Release {
        #[serde(flatten)]
        target: TargetLine,
    },
    Map {
        region: u32,
        offset: u64,
        size: u64,
        address: u64,
        result: String,
    },
    Unmap {
        region: u32,
        offset: u64,
        size: u64,
        address: u64,
    },
    StateWriteEnter {
        region: u32,
        word: Option<u32>,
    },
    StateWriteExit {
        region: u32,
        word: Option<u32>,
        begin_ns: u64,
        result: String,
    },
    Lost {
        count: u64,
    },
}

impl<'a> BodyLine<'a> {
    fn of(body: &'a Body, contexts: &mut HashMap<ContextKey, u64>) -> Self {
        match body {
            Body::Device { .. } => Self::Device,
            Body::Close { .. } => Self::Close,
            Body::Enter { call, .. } => Self::Enter {
                call: CallLine::of(call),
            },
            Body::Exit {
                call,
                begin_ns,
                result,
                answer,
                ..
            } => Self::Exit {
                call: CallLine::of(call),
                begin_ns: *begin_ns,
                result: result_name(*result),
                returned: result.ok(),
                answer: AnswerLine::of(answer),
            },
            Body::Context {
                context,
                target,
                fd,
            } => Self::Context {
                target: TargetLine::of(*context, *target, contexts),
                fd: *fd,
            },
            Body::Signal {
                context,
                target,
                addend,
                count,
                inside,
            } => Self::Signal {
                target: TargetLine::of(*context, *target, contexts),
                addend: *addend,
                count: *count,
                inside: inside.is_some(),
            },
            Body::Read {
                context,
                target,
                value,
                result,
            } => Self::Read {
                target: TargetLine::of(*context, *target, contexts),
                value: *value,
                result: result_name(*result),
            },
            Body::Write {
                context,
                target,
                begin_ns,
                value,
                result,
            } => Self::Write {
                target: TargetLine::of(*context, *target, contexts),
                begin_ns: *begin_ns,
                value: *value,
                result: result_name(*result),
            },
            Body::Release { context, target } => Self::Release {
                target: TargetLine::of(*context, *target, contexts),
            },
            Body::Map {
                region,
                offset,
                size,
                address,
                result,
                ..
            } => Self::Map {
                region: *region,
                offset: *offset,
                size: *size,
                address: *address,
                result: result_name(*result),
            },
            Body::Unmap {
                region,
                offset,
                size,
                address,
                ..
            } => Self::Unmap {
                region: *region,
                offset: *offset,
                size: *size,
                address: *address,
            },
            Body::StateWriteEnter { region, word, .. } => Self::StateWriteEnter {
                region: *region,
                word: *word,
            },
            Body::StateWriteExit {
                region,
                word,
                begin_ns,
                result,
                ..
            } => Self::StateWriteExit {
                region: *region,
                word: *word,
                begin_ns: *begin_ns,
                result: result_name(*result),
            },
            Body::Lost { count } => Self::Lost { count: *count },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
enum CallLine<'a> {
    SetIrqs {
        index: u32,
        start: u32,
        count: u32,
        action: &'static str,
        data: DataLine<'a>,
    },
    GetIrqInfo {
        index: u32,
    },
    GetRegionInfo {
        index: u32,
    },
    Feature {
        feature: u32,
        operations: Vec<&'static str>,
        state: Option<String>,
    },
    Reset,
    Other {
        request: u32,
    },
    Unreadable {
        request: u32,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum DataLine<'a> {
    None,
    Bool(&'a [bool]),
    Eventfd(&'a [i32]),
    Unknown(u32),
}

fn operations(op: FeatureOp) -> Vec<&'static str> {
    [(op.get, "get"), (op.set, "set"), (op.probe, "probe")]
        .into_iter()
        .filter_map(|(is_set, name)| is_set.then_some(name))
        .collect()
}

impl<'a> CallLine<'a> {
    fn of(call: &'a Call) -> Self {
        match call {
            Call::SetIrqs {
                index,
                start,
                count,
                action,
                data,
            } => Self::SetIrqs {
                index: *index,
                start: *start,
                count: *count,
                action: match action {
                    IrqAction::Mask => "mask",
                    IrqAction::Unmask => "unmask",
                    IrqAction::Trigger => "trigger",
                    IrqAction::Unknown(_) => "unknown",
                },
                data: match data {
                    IrqData::None => DataLine::None,
                    IrqData::Bool(values) => DataLine::Bool(values),
                    IrqData::Eventfd(fds) => DataLine::Eventfd(fds),
                    IrqData::Unknown(flags) => DataLine::Unknown(*flags),
                },
            },
            Call::GetIrqInfo { index } => Self::GetIrqInfo { index: *index },
            Call::GetRegionInfo { index } => Self::GetRegionInfo { index: *index },
            Call::Feature { feature, op, state } => Self::Feature {
                feature: *feature,
                operations: operations(*op),
                state: state.map(|state| state.to_string()),
            },
            Call::Reset => Self::Reset,
            Call::Other { request } => Self::Other { request: *request },
            Call::Unreadable { request } => Self::Unreadable { request: *request },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
enum AnswerLine<'a> {
    Region {
        index: u32,
        flags: u32,
        size: u64,
        offset: u64,
        areas: Vec<AreaLine>,
        kind: Option<(u32, u32)>,
        stale_sparse: bool,
    },
    Irq {
        index: u32,
        flags: u32,
        count: u32,
        kind: Option<(u32, u32)>,
        encoding: Option<&'static str>,
        base: Option<u32>,
        mask: Option<u64>,
    },
    State {
        state: String,
        data_fd: Option<i32>,
    },
    Malformed {
        reason: &'a str,
    },
    Unreadable,
}

impl<'a> AnswerLine<'a> {
    fn of(answer: &'a Answer) -> Option<Self> {
        Some(match answer {
            Answer::None => return None,
            Answer::Region(region) => Self::Region {
                index: region.index,
                flags: region.flags,
                size: region.size,
                offset: region.offset,
                areas: AreaLine::all(&region.areas),
                kind: region.kind,
                stale_sparse: region.stale_sparse,
            },
            Answer::Irq(info) => Self::Irq {
                index: info.index,
                flags: info.flags,
                count: info.count,
                kind: info.kind,
                encoding: info.remap.map(|remap| encoding_name(remap.encoding)),
                base: info.remap.map(|remap| remap.base),
                mask: info.remap.and_then(|remap| remap.mask),
            },
            Answer::State { state, data_fd } => Self::State {
                state: state.to_string(),
                data_fd: *data_fd,
            },
            Answer::Malformed(reason) => Self::Malformed { reason },
            Answer::Unreadable => Self::Unreadable,
        })
    }
}
