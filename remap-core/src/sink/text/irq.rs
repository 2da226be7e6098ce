//! Interrupts: what was set up, and who got a signal when.

use std::fmt;
use std::io::{self, Write};

use super::Text;
use crate::event::ResultName;
use crate::model::{Interrupt, IrqChange, Ns};
use crate::sink::words::Count;

impl<W: Write> Text<W> {
    pub(super) fn irq_change(&mut self, change: &IrqChange) -> io::Result<()> {
        let (name, verb) = (change.name.name(), change.verb.words());
        let (vectors, result) = (
            Vectors(change.start, change.count),
            ResultName(change.result),
        );
        let duration = Ns(change.time_ns.saturating_sub(change.begin_ns));
        let who = self.vms.who(&change.task);
        let text = format!("{name}{vectors}  {verb} {result} in {duration}  ({who})");
        self.line(change.time_ns, &change.device, &text)
    }

    pub(super) fn interrupt(&mut self, interrupt: &Interrupt) -> io::Result<()> {
        let (name, sub) = (interrupt.name.name(), interrupt.sub);
        let latency = match interrupt.latency() {
            Some(ns) => Ns(ns).to_string(),
            None => "an unknown time".to_owned(),
        };
        let what = match interrupt.signals {
            Some(count) => Count(count, "signal").to_string(),
            None => "an unknown number of signals".to_owned(),
        };
        let by = match interrupt.in_kernel {
            true => "taken by the kernel".to_owned(),
            false => format!("read by {}", self.vms.who(&interrupt.task)),
        };
        let text = format!("{name} {sub}  {what} {by} after {latency}");
        self.line(interrupt.time_ns, &interrupt.device, &text)
    }
}

/// From the first sub-index on, so many.
struct Vectors(u32, u32);

impl fmt::Display for Vectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (_, 0) => f.write_str(" (all)"),
            (start, 1) => write!(f, " {start}"),
            (start, count) => write!(f, " {start}–{}", u64::from(start) + u64::from(count) - 1),
        }
    }
}
