//! JSON Lines: the contract of `docs/json.md`, whose schema is `docs/schema/remap.schema.json`.
//!
//! One object per line, `type` first. Times are CLOCK_MONOTONIC nanoseconds; null says that
//! something was not observed.

mod cycle;
mod device;
mod irq;
mod mapping;
mod migration;
mod summary;
mod usage;

use std::io::{self, Write};

use serde::Serialize;

use super::Sink;
use super::event_line::{EventLine, Keys};
use super::vmm_line::{CheckpointLine, DowntimeLine};
use crate::event::{Errno, Event, Task};
use crate::model::{Output, Summary};
use crate::parse::region::Area;
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};
pub(super) use cycle::encoding_name;
use cycle::{CycleLine, FindingLine, InferredLine, StageObject};
use irq::{InterruptLine, IrqChangeLine};
use mapping::{MappedLine, ZapLine};
use migration::{StayLine, TransitionLine};
use summary::SummaryLine;
use usage::{ClosedLine, EarlyLine, OpenedLine};

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
            Output::StateInterval(stay) => Line::Stay(StayLine::of(stay)),
            Output::Zap(zap) => Line::Zap(ZapLine::of(zap)),
            Output::IrqChange(change) => Line::IrqChange(IrqChangeLine::of(change)),
            Output::Interrupt(interrupt) => Line::Interrupt(InterruptLine::of(interrupt)),
            Output::Mapped(mapped) => Line::Mapped(MappedLine::of(mapped)),
            Output::Opened(opened) => Line::Opened(OpenedLine::of(opened, &mut self.keys)),
            Output::Closed(closed) => Line::Closed(ClosedLine::of(closed)),
            Output::Inferred(inferred) => Line::Inferred(InferredLine::of(inferred)),
            Output::InFlightCall(early) => Line::EarlyCall(EarlyLine::of(early)),
        };
        self.line(&line)
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        let line = Line::Event(EventLine::of(event, device, &mut self.keys));
        self.line(&line)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.line(&Line::Checkpoint(CheckpointLine::of(checkpoint)))
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        self.line(&Line::Downtime(DowntimeLine::of(downtime)))
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
    Stay(StayLine<'a>),
    Zap(ZapLine<'a>),
    IrqChange(IrqChangeLine<'a>),
    Interrupt(InterruptLine<'a>),
    Mapped(MappedLine<'a>),
    Opened(OpenedLine<'a>),
    Closed(ClosedLine<'a>),
    Inferred(InferredLine<'a>),
    EarlyCall(EarlyLine<'a>),
    Event(EventLine<'a>),
    Checkpoint(CheckpointLine<'a>),
    Downtime(DowntimeLine<'a>),
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

/// `ok` or the errno's name.
pub(super) fn result_name<T>(result: Result<T, Errno>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(errno) => errno.to_string(),
    }
}
