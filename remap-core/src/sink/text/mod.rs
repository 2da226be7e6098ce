//! Text for people: a line per finished cycle and state change, findings as they become evident,
//! a table at the end.
//!
//! ```text
//! +0.001234  0000:01:00.0  RUNNING → PRE_COPY
//! +0.001300  0000:01:00.0    region 0  remapped in 214 µs, slowest: unmap 120 µs  (trigger 1, qemu 411)
//! +0.001520  0000:01:00.0  RUNNING → PRE_COPY  ok in 286 µs, 214 µs of it (75 %) waiting for user space  (qemu 411)
//! ```
//! A time is that of the line's first fact (trigger, begin or end), from the start of the trace.

mod cycle;
mod event;
mod irq;
mod memory;
mod migration;
mod usage;

use std::fmt;
use std::io::{self, Write};

use super::Sink;
use super::keys::Keys;
use super::vmm::{CheckpointText, DowntimeText, PartText, Way};
use super::vms::Vms;
use super::words::Change;
use super::{sentence, table};
use crate::event::Event;
use crate::model::{Blind, Finding, Output, StageLine, Summary, TransitionRef};
use crate::printable::{self, Name};
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};
use event::BodyText;

/// How text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// Whether ANSI colours are used.
    pub colour: bool,
    /// When the trace began (CLOCK_MONOTONIC ns): times are from then.
    pub start_ns: u64,
}

/// Writes text.
#[derive(Debug)]
pub struct Text<W> {
    writer: W,
    options: TextOptions,
    /// The state change whose head is the last that was written.
    announced: Option<u64>,
    keys: Keys,
    vms: Vms,
}

impl<W: Write> Text<W> {
    /// Writes to `writer`.
    pub fn new(writer: W, options: TextOptions) -> Self {
        Self {
            writer,
            options,
            announced: None,
            keys: Keys::default(),
            vms: Vms::default(),
        }
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn line(&mut self, ns: u64, device: &str, text: &str) -> io::Result<()> {
        let line = self.begin(text);
        self.end(ns, device, &line)
    }

    /// Begins the text of a line that has coloured words.
    fn begin(&self, text: &str) -> Line {
        Line {
            text: printable::line(text).into_owned(),
            colour: self.options.colour,
        }
    }

    /// Writes a line.
    fn end(&mut self, ns: u64, device: &str, line: &Line) -> io::Result<()> {
        let time = Relative::new(ns, self.options.start_ns);
        let (device, text) = (Name(device), &line.text);
        writeln!(self.writer, "{time}  {device}  {text}")
    }

    /// What happened in a state change stands under its head. Answers the indent.
    fn under(&mut self, device: &str, within: Option<&TransitionRef>) -> io::Result<&'static str> {
        let Some(reference) = within else {
            return Ok("");
        };
        if self.announced != Some(reference.id) {
            self.announced = Some(reference.id);
            let change = Change(reference.from, reference.to);
            self.line(reference.begin_ns, device, &change.to_string())?;
        }
        Ok("  ")
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let (about, seen) = (Region(finding.region), sentence::finding(&finding.evidence));
        let line = self.begin("! ").paint(finding.rule().name(), RED);
        let line = line.add(&format!("{about}: {seen}"));
        self.end(finding.time_ns, &finding.device, &line)
    }

    fn stage(&mut self, line: &StageLine) -> io::Result<()> {
        let text = format!(
            "  region {}  {:<8}  (trigger {}, {} {})",
            line.region,
            line.stage.name(),
            line.trigger_id,
            line.task.comm,
            line.task.tid
        );
        self.line(line.time_ns, &line.device, &text)
    }
}

impl<W: Write> Sink for Text<W> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        match output {
            Output::Cycle(cycle) => self.cycle(cycle),
            Output::Transition(transition) => self.transition(transition),
            Output::Finding(finding) => self.finding(finding),
            Output::Stage(line) => self.stage(line),
            Output::StateInterval(interval) => self.state_interval(interval),
            Output::Zap(zap) => self.zap(zap),
            Output::IrqChange(change) => self.irq_change(change),
            Output::Interrupt(interrupt) => self.interrupt(interrupt),
            Output::Mapped(mapped) => self.mapped(mapped),
            Output::Opened(opened) => self.opened(opened),
            Output::Closed(closed) => self.closed(closed),
            Output::Inferred(inferred) => self.inferred(inferred),
            Output::InFlightCall(call) => self.in_flight_call(call),
        }
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        let task = &event.task;
        let mut body = event.body.clone();
        self.keys.number(&mut body);
        let line = BodyText(&body);
        let text = format!("  {line}  ({} {})", task.comm, task.tid);
        self.line(event.time_ns, device, &text)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        let who = checkpoint.device.as_ref().unwrap_or(&checkpoint.log);
        let text = CheckpointText(checkpoint).to_string();
        self.line(checkpoint.time_ns, who, &text)
    }

    fn downtime(&mut self, downtime: &Downtime) -> io::Result<()> {
        let way = Way(downtime).to_string();
        let text = DowntimeText(downtime).to_string();
        self.line(downtime.total.begin_ns, &way, &text)?;
        if downtime.parts.len() > 1 {
            for part in &downtime.parts {
                let text = format!("  {}", PartText(part));
                self.line(part.begin_ns, &way, &text)?;
            }
        }
        Ok(())
    }

    fn blind(&mut self, blind: &Blind) -> io::Result<()> {
        let mut text = format!(": {}", sentence::blind(blind));
        match blind.until_ns {
            None => text += &format!("; {}", blind.cause.remedy()),
            Some(until_ns) => {
                let until = Relative::new(until_ns, self.options.start_ns);
                text += &format!(" (until {until})");
            }
        }
        let line = self.begin("! ").paint("blind", RED).add(&text);
        self.end(blind.since_ns, "remap", &line)
    }

    fn owner(&mut self, pid: u32, vm: Option<&str>) {
        self.vms.learn(pid, vm);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        writeln!(self.writer)?;
        let table = table::Table(summary).to_string();
        self.writer.write_all(printable::lines(&table).as_bytes())?;
        self.writer.flush()
    }
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// The text of a line: what was put into it is escaped, its colours are not.
struct Line {
    text: String,
    colour: bool,
}

impl Line {
    fn add(mut self, text: &str) -> Self {
        self.text += &printable::line(text);
        self
    }

    /// Adds a word, in colour if the options ask for it.
    fn paint(self, word: &str, colour: &'static str) -> Self {
        let coloured = self.colour;
        let mut line = self;
        if coloured {
            line.text += &format!("\x1b[{colour}m");
        }
        line = line.add(word);
        if coloured {
            line.text += "\x1b[0m";
        }
        line
    }
}

/// Seconds from the start of the trace, to the microsecond.
struct Relative {
    sign: char,
    microseconds: u64,
}

impl Relative {
    fn new(ns: u64, start_ns: u64) -> Self {
        Self {
            sign: if ns < start_ns { '-' } else { '+' },
            microseconds: ns.abs_diff(start_ns) / 1000,
        }
    }
}

impl fmt::Display for Relative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.microseconds / 1_000_000, self.microseconds % 1_000_000);
        write!(f, "{}{seconds}.{rest:06}", self.sign)
    }
}

/// Which region, if any.
struct Region(Option<u32>);

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |region| write!(f, " region {region}"))
    }
}
