//! Text for people: a line per finished cycle and state change, findings as they become evident,
//! a table at the end.
//!
//! ```text
//!  +0.001234  0000:01:00.0  RUNNING → PRE_COPY
//!  +0.001300  0000:01:00.0    region 0  remapped in 214 µs, slowest: unmap 120 µs  (trigger 1, qemu 411)
//!  +0.001520  0000:01:00.0  RUNNING → PRE_COPY  ok in 286 µs, 214 µs of it (75 %) waiting for user space
//! ```
//! A time is that of the line's first fact (trigger, begin or end), from the start of the trace.

use std::fmt;
use std::io::{self, Write};

use super::Sink;
use super::event_line::{EventLine, Keys};
use super::json::result_name;
use super::table;
use super::vmm_line::{CheckpointText, DowntimeText, PartText, Way};
use super::vms::{Vms, Who};
use crate::correlate::{
    Cycle, Finding, Interrupt, IrqChange, Mapped, Ns, Opened, Outcome, Output, Stage, StageLine,
    Stay, Summary, Transition, TransitionRef, Zap,
};
use crate::event::{DeviceState, Event};
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};

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
        let time = Relative::new(ns, self.options.start_ns);
        writeln!(self.writer, "{time}  {device}  {text}")
    }

    fn cycle(&mut self, cycle: &Cycle) -> io::Result<()> {
        let mut indent = "";
        if let Some(reference) = &cycle.transition {
            self.announce(&cycle.device, reference)?;
            indent = "  ";
        }
        let trigger_ns = cycle.stages.ns(Stage::Trigger).unwrap_or(0);
        let colour = self.options.colour;
        let outcome = Painted::new(cycle.outcome.name(), outcome_colour(cycle.outcome), colour);
        let who = cycle.owner().map(|task| self.vms.who(task));
        let (region, rest) = (cycle.region, CycleText(cycle, who));
        let text = format!("{indent}region {region}  {outcome}{rest}");
        self.line(trigger_ns, &cycle.device, &text)
    }

    /// The head of a state change, before the first of its cycles.
    fn announce(&mut self, device: &str, reference: &TransitionRef) -> io::Result<()> {
        if self.announced == Some(reference.id) {
            return Ok(());
        }
        self.announced = Some(reference.id);
        let change = Change(reference.from, reference.to);
        self.line(reference.begin_ns, device, &change.to_string())
    }

    fn transition(&mut self, transition: &Transition) -> io::Result<()> {
        let change = Change(transition.from, transition.to);
        let ns = transition.end_ns.unwrap_or(transition.begin_ns);
        let Some(result) = transition.result else {
            let text = format!("{change}  did not return within the trace");
            return self.line(ns, &transition.device, &text);
        };
        let colour = if result.is_ok() { GREEN } else { RED };
        let name = result_name(result);
        let result = Painted::new(&name, colour, self.options.colour);
        let duration = MaybeNs(transition.duration());
        let rest = TransitionText(transition);
        let who = self.vms.who(&transition.task);
        let text = format!("{change}  {result} in {duration}{rest}  ({who})");
        self.line(ns, &transition.device, &text)
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let rule = Painted::new(finding.rule.id(), RED, self.options.colour);
        let about = Region(finding.region);
        let text = format!("! {rule}{about}: {}", finding.text);
        self.line(finding.time_ns, &finding.device, &text)
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

    fn stay(&mut self, stay: &Stay) -> io::Result<()> {
        let bytes = stay.activity.data.bytes();
        let duration = Ns(stay.duration());
        let text = format!("{}  for {duration}, {bytes} bytes of data", stay.state);
        self.line(stay.since_ns, &stay.device, &text)
    }

    fn zap(&mut self, zap: &Zap) -> io::Result<()> {
        let (cause, populated, refused) = (zap.cause, zap.populated(), zap.refused());
        let text = format!("zap: {cause}, {populated} faults after it, {refused} refused");
        self.line(zap.time_ns, &zap.device, &text)
    }

    fn irq_change(&mut self, change: &IrqChange) -> io::Result<()> {
        let (name, verb) = (change.name.name(), change.verb.name());
        let result = result_name(change.result);
        let text = format!("{name} {verb} {}+{}  {result}", change.start, change.count);
        self.line(change.time_ns, &change.device, &text)
    }

    fn interrupt(&mut self, interrupt: &Interrupt) -> io::Result<()> {
        let latency = MaybeNs(interrupt.latency());
        let name = interrupt.name.name();
        let text = format!("{name} {} after {latency}", interrupt.sub);
        self.line(interrupt.time_ns, &interrupt.device, &text)
    }

    fn mapped(&mut self, mapped: &Mapped) -> io::Result<()> {
        let (how, region, result) = (mapped.how.name(), mapped.region, result_name(mapped.result));
        let (offset, size) = (mapped.offset, mapped.size);
        let text = format!("{how} region {region} {offset:#x}+{size:#x}  {result}");
        self.line(mapped.time_ns, &mapped.device, &text)
    }

    fn opened(&mut self, opened: &Opened) -> io::Result<()> {
        let (comm, pid) = (&opened.task.comm, opened.task.pid);
        self.line(
            opened.time_ns,
            &opened.device,
            &format!("opened by {comm} {pid}"),
        )
    }
}

impl<W: Write> Sink for Text<W> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        match output {
            Output::Cycle(cycle) => self.cycle(cycle),
            Output::Transition(transition) => self.transition(transition),
            Output::Finding(finding) => self.finding(finding),
            Output::Stage(line) => self.stage(line),
            Output::Stay(stay) => self.stay(stay),
            Output::Zap(zap) => self.zap(zap),
            Output::IrqChange(change) => self.irq_change(change),
            Output::Interrupt(interrupt) => self.interrupt(interrupt),
            Output::Mapped(mapped) => self.mapped(mapped),
            Output::Opened(opened) => self.opened(opened),
            Output::Closed(closed) => self.line(closed.time_ns, &closed.device, &closed.text),
            Output::Inferred(inferred) => {
                self.line(inferred.time_ns, &inferred.device, &inferred.text)
            }
        }
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        let task = &event.task;
        let line = EventLine::of(event, device, &mut self.keys);
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
        self.line(downtime.whole.begin_ns, &way, &text)?;
        if downtime.parts.len() > 1 {
            for part in &downtime.parts {
                let text = format!("  {}", PartText(part));
                self.line(part.begin_ns, &way, &text)?;
            }
        }
        Ok(())
    }

    fn owner(&mut self, pid: u32, vm: Option<&str>) {
        self.vms.learn(pid, vm);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        writeln!(self.writer)?;
        write!(self.writer, "{}", table::Table(summary))?;
        self.writer.flush()
    }
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

fn outcome_colour(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Remapped | Outcome::Unchanged => GREEN,
        Outcome::Incomplete => YELLOW,
        Outcome::Unacked | Outcome::Aborted => RED,
    }
}

/// A word, in colour if told.
struct Painted<'a> {
    word: &'a str,
    colour: Option<&'static str>,
}

impl<'a> Painted<'a> {
    fn new(word: &'a str, colour: &'static str, enabled: bool) -> Self {
        Self {
            word,
            colour: enabled.then_some(colour),
        }
    }
}

impl fmt::Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.colour {
            Some(colour) => write!(f, "\x1b[{colour}m{}\x1b[0m", self.word),
            None => f.write_str(self.word),
        }
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

/// A duration, or that it is not known.
struct MaybeNs(Option<u64>);

impl fmt::Display for MaybeNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ns) => Ns(ns).fmt(f),
            None => f.pad("unknown time"),
        }
    }
}

/// From one state to another.
struct Change(Option<DeviceState>, Option<DeviceState>);

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |state: Option<DeviceState>| match state {
            Some(state) => state.to_string(),
            None => "unknown".to_owned(),
        };
        write!(f, "{} → {}", name(self.0), name(self.1))
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

/// What follows the outcome of a cycle.
struct CycleText<'a>(&'a Cycle, Option<Who<'a>>);

impl fmt::Display for CycleText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cycle = self.0;
        if let Some(total) = cycle.stages.total() {
            write!(f, " in {}", Ns(total))?;
        }
        if let Some(reason) = &cycle.reason {
            write!(f, ": {reason}")?;
        } else if let Some((stage, ns)) = cycle.stages.slowest() {
            write!(f, ", slowest: {} {}", stage.name(), Ns(ns))?;
        }
        write!(f, "  (trigger {}", cycle.trigger_id)?;
        if let Some(who) = &self.1 {
            write!(f, ", {who}")?;
        }
        f.write_str(")")
    }
}

/// What follows the result of a transition.
struct TransitionText<'a>(&'a Transition);

impl fmt::Display for TransitionText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.waited_ns, self.0.share()) {
            (Some(0), _) => f.write_str(", without waiting for user space"),
            (Some(ns), Some(share)) => write!(
                f,
                ", {} of it ({:.0} %) waiting for user space",
                Ns(ns),
                share * 100.0
            ),
            _ => Ok(()),
        }
    }
}
