//! Cycles of the remap IRQ, and eventfds that are taken for one.

use std::fmt;
use std::io::{self, Write};

use super::{GREEN, RED, Text, YELLOW};
use crate::model::{Cycle, Inferred, Ns, Outcome, Stage};
use crate::sink::sentence;
use crate::sink::vms::Who;

impl<W: Write> Text<W> {
    pub(super) fn cycle(&mut self, cycle: &Cycle) -> io::Result<()> {
        let indent = self.under(&cycle.device, cycle.transition.as_ref())?;
        let trigger_ns = cycle.stages.ns(Stage::Trigger).unwrap_or(0);
        let who = cycle.owner().map(|task| self.vms.who(task));
        let (region, rest) = (cycle.region, Rest { cycle, who });
        let line = self.begin(&format!("{indent}region {region}  "));
        let line = line.paint(cycle.outcome.name(), colour(cycle.outcome));
        let line = line.add(&rest.to_string());
        self.end(trigger_ns, &cycle.device, &line)
    }

    pub(super) fn inferred(&mut self, inferred: &Inferred) -> io::Result<()> {
        let who = self.vms.who(&inferred.task);
        let text = format!(": {}  ({who})", sentence::inferred(inferred));
        let line = self.begin("? ").paint("inferred", YELLOW).add(&text);
        self.end(inferred.time_ns, &inferred.device, &line)
    }
}

fn colour(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Remapped | Outcome::Unchanged => GREEN,
        Outcome::Incomplete => YELLOW,
        Outcome::Unacked | Outcome::Aborted => RED,
    }
}

/// What follows the outcome.
struct Rest<'a> {
    cycle: &'a Cycle,
    who: Option<Who<'a>>,
}

impl fmt::Display for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cycle = self.cycle;
        if let Some(total) = cycle.stages.total() {
            write!(f, " in {}", Ns(total))?;
        }
        if let Some(reason) = sentence::reason(cycle) {
            write!(f, ": {reason}")?;
        } else if let Some((stage, ns)) = cycle.stages.slowest() {
            write!(f, ", slowest: {} {}", stage.name(), Ns(ns))?;
        }
        if cycle.inferred.is_some() {
            f.write_str(", inferred")?;
        }
        write!(f, "  (trigger {}", cycle.trigger_id)?;
        if let Some(who) = &self.who {
            write!(f, ", {who}")?;
        }
        f.write_str(")")
    }
}
