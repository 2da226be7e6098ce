//! A single event as a JSON object.

mod call;
mod keys;
mod part;

use std::fmt;

use serde::Serialize;

use super::json::result_name;
use crate::event::{Body, DmaKind, Event, FaultOutcome};
use call::AnswerLine;
pub(super) use call::CallLine;
pub(super) use keys::Keys;
use part::{CauseLine, TargetLine, outcome_name};
pub(super) use part::{NodeLine, origin_name};

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
    pub(super) fn of(event: &'a Event, device: &'a str, keys: &mut Keys) -> Self {
        // A loss, a node or a process is no device's own.
        let of_device = event.device().is_some();
        Self {
            time_ns: event.time_ns,
            cpu: event.cpu,
            pid: event.task.pid,
            tid: event.task.tid,
            comm: &event.task.comm,
            device: of_device.then_some(device),
            body: BodyLine::of(&event.body, keys),
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
#[serde(tag = "kind", rename_all = "snake_case")]
enum BodyLine<'a> {
    Device {
        driver: Option<&'a str>,
        origin: &'static str,
    },
    Close {
        dying: Option<bool>,
    },
    Owner {
        vm: Option<&'a str>,
    },
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
    Early {
        call: CallLine<'a>,
        waits_in: &'a [String],
    },
    EarlyOver {
        last_seen_ns: u64,
    },
    Context {
        #[serde(flatten)]
        target: TargetLine,
        fd: Option<i32>,
        origin: &'static str,
    },
    Signal {
        #[serde(flatten)]
        target: TargetLine,
        addend: u64,
        count: Option<u64>,
        inside: bool,
        in_task: Option<bool>,
    },
    Consumed {
        #[serde(flatten)]
        target: TargetLine,
        value: Option<u64>,
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
        origin: &'static str,
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
    Fault {
        region: u32,
        offset: u64,
        address: u64,
        begin_ns: u64,
        outcome: &'static str,
        bytes: Option<u64>,
        code: Option<u32>,
    },
    Zap {
        first_region: u32,
        /// Null: all behind the first.
        last_region: Option<u32>,
        offset: u64,
        size: u64,
        cause: CauseLine,
    },
    ConfigWrite {
        offset: u64,
        value: Option<u32>,
        begin_ns: u64,
        result: String,
    },
    Dma {
        node: u64,
        what: &'static str,
        iova: u64,
        size: u64,
        vaddr: Option<u64>,
        begin_ns: u64,
        result: String,
    },
    NodeOpen {
        node: NodeLine,
        result: String,
    },
    NodeClose {
        node: NodeLine,
    },
    DeviceFile {
        node: NodeLine,
        fd: Option<i32>,
    },
    Data {
        file: u64,
        write: bool,
        requested: u64,
        begin_ns: u64,
        result: String,
        returned: Option<i64>,
    },
    PrecopyInfo {
        file: u64,
        begin_ns: u64,
        initial_bytes: Option<u64>,
        dirty_bytes: Option<u64>,
        result: String,
    },
    Unknown {
        record_kind: u32,
    },
    Lost {
        count: u64,
    },
}

impl<'a> BodyLine<'a> {
    fn of(body: &'a Body, keys: &mut Keys) -> Self {
        match body {
            Body::Device { driver, origin, .. } => Self::Device {
                driver: driver.as_deref(),
                origin: origin_name(*origin),
            },
            Body::Close { dying, .. } => Self::Close { dying: *dying },
            Body::Owner { vm, .. } => Self::Owner { vm: vm.as_deref() },
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
            Body::Early { call, waits_in, .. } => Self::Early {
                call: CallLine::of_early(call),
                waits_in,
            },
            Body::EarlyOver { seen_ns, .. } => Self::EarlyOver {
                last_seen_ns: *seen_ns,
            },
            Body::Context {
                context,
                target,
                fd,
                origin,
            } => Self::Context {
                target: TargetLine::of(*context, *target, keys),
                fd: *fd,
                origin: origin_name(*origin),
            },
            Body::Signal {
                context,
                target,
                addend,
                count,
                inside,
                in_task,
            } => Self::Signal {
                target: TargetLine::of(*context, *target, keys),
                addend: *addend,
                count: *count,
                inside: inside.is_some(),
                in_task: *in_task,
            },
            Body::Consumed {
                context,
                target,
                value,
            } => Self::Consumed {
                target: TargetLine::of(*context, *target, keys),
                value: *value,
            },
            Body::Read {
                context,
                target,
                value,
                result,
            } => Self::Read {
                target: TargetLine::of(*context, *target, keys),
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
                target: TargetLine::of(*context, *target, keys),
                begin_ns: *begin_ns,
                value: *value,
                result: result_name(*result),
            },
            Body::Release { context, target } => Self::Release {
                target: TargetLine::of(*context, *target, keys),
            },
            Body::Map {
                region,
                offset,
                size,
                address,
                result,
                origin,
                ..
            } => Self::Map {
                region: *region,
                offset: *offset,
                size: *size,
                address: *address,
                result: result_name(*result),
                origin: origin_name(*origin),
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
            Body::Fault {
                region,
                offset,
                address,
                begin_ns,
                outcome,
                ..
            } => Self::Fault {
                region: *region,
                offset: *offset,
                address: *address,
                begin_ns: *begin_ns,
                outcome: outcome_name(*outcome),
                bytes: match outcome {
                    FaultOutcome::Populated { bytes } => *bytes,
                    _ => None,
                },
                code: match outcome {
                    FaultOutcome::Other(code) => Some(*code),
                    _ => None,
                },
            },
            Body::Zap {
                regions: (first, last),
                offset,
                size,
                cause,
                ..
            } => Self::Zap {
                first_region: *first,
                last_region: (*last != u32::MAX).then_some(*last),
                offset: *offset,
                size: *size,
                cause: CauseLine::of(*cause),
            },
            Body::ConfigWrite {
                offset,
                value,
                begin_ns,
                result,
                ..
            } => Self::ConfigWrite {
                offset: *offset,
                value: *value,
                begin_ns: *begin_ns,
                result: result_name(*result),
            },
            Body::Dma {
                node,
                kind,
                iova,
                size,
                vaddr,
                begin_ns,
                result,
            } => Self::Dma {
                node: keys.node(*node),
                what: match kind {
                    DmaKind::Map => "map",
                    DmaKind::Unmap => "unmap",
                    DmaKind::UnmapAll => "unmap_all",
                },
                iova: *iova,
                size: *size,
                vaddr: *vaddr,
                begin_ns: *begin_ns,
                result: result_name(*result),
            },
            Body::NodeOpen { node, result } => Self::NodeOpen {
                node: NodeLine::of(*node, keys),
                result: result_name(*result),
            },
            Body::NodeClose { node } => Self::NodeClose {
                node: NodeLine::of(*node, keys),
            },
            Body::DeviceFile { node, fd, .. } => Self::DeviceFile {
                node: NodeLine::of(*node, keys),
                fd: *fd,
            },
            Body::Data {
                file,
                write,
                requested,
                begin_ns,
                result,
                ..
            } => Self::Data {
                file: keys.file(*file),
                write: *write,
                requested: *requested,
                begin_ns: *begin_ns,
                result: result_name(*result),
                returned: result.ok(),
            },
            Body::PrecopyInfo {
                file,
                begin_ns,
                bytes,
                result,
                ..
            } => Self::PrecopyInfo {
                file: keys.file(*file),
                begin_ns: *begin_ns,
                initial_bytes: bytes.map(|(initial, _)| initial),
                dirty_bytes: bytes.map(|(_, dirty)| dirty),
                result: result_name(*result),
            },
            Body::Unknown { kind } => Self::Unknown { record_kind: *kind },
            Body::Lost { count } => Self::Lost { count: *count },
        }
    }
}
