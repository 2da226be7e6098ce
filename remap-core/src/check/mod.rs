//! `remap check`: the duties of driver and user as a table, and a sink that judges them.
//!
//! A duty is broken by findings of the correlation, or by what `observe` sees itself in events and
//! outputs. It passes if it was exercised and not broken, and nothing is missing that could show otherwise.

mod define;
mod duty;
mod observe;
mod tally;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, HashMap};
use std::io;

pub use duty::{Duty, Level, NO_DUTY, Party, Row, Source, Subject};
pub use tally::Violation;
pub use verdict::{CheckLine, DutyLine, Judgement, Totals, Verdict};

use crate::correlate::Options;
use crate::event::{Body, Event, LostKind};
use crate::model::{Blind, Finding, Output, Rule, Summary};
use crate::sink::{Sink, sentence};
use crate::vmm::{checkpoint::Checkpoint, downtime::Downtime};
use observe::Device;
use tally::Tally;

/// So many devices are observed at a time; the calls on others exercise nothing.
const MOST_DEVICES: usize = 256;

/// Why something may be missing.
#[derive(Clone, Debug, Default)]
struct Missing {
    /// Records that were lost, by what they can have been.
    lost: BTreeMap<LostKind, u64>,
    /// Times in which hooks did not fire.
    blind: bool,
    /// Hooks that are not attached.
    hooks: Vec<String>,
    /// Where the recording was cut off, bytes.
    cut: Option<u64>,
    /// The trace has no account.
    uncounted: bool,
}

/// Takes what a trace has to report, with every event, every interrupt and every mapping, and judges it.
#[derive(Debug, Default)]
pub struct Check {
    tallies: BTreeMap<Duty, Tally>,
    /// Findings that break no duty.
    others: BTreeMap<Rule, u64>,
    devices: HashMap<String, Device>,
    missing: Missing,
}

impl Check {
    /// For a trace without these hooks.
    pub fn new(missing_hooks: Vec<String>) -> Self {
        Self {
            missing: Missing {
                hooks: missing_hooks,
                ..Missing::default()
            },
            ..Self::default()
        }
    }

    /// How a trace has to be correlated that is checked. Its events have to go into the sink too.
    pub fn options(options: Options) -> Options {
        Options {
            interrupts: true,
            mappings: true,
            ..options
        }
    }

    /// The recording was cut off at this byte.
    pub fn cut_off(&mut self, byte: u64) {
        self.missing.cut = Some(byte);
    }

    /// What it all comes to.
    pub fn verdict(&self) -> Verdict {
        Verdict::new(&self.tallies, &self.others, &self.missing)
    }

    fn exercise(&mut self, duty: Duty) {
        self.tallies.entry(duty).or_default().exercised += 1;
    }

    fn break_duty(&mut self, duty: Duty, violation: Violation) {
        self.tallies.entry(duty).or_default().add(violation);
    }

    fn finding(&mut self, finding: &Finding) {
        let Some(duty) = Duty::of(&finding.evidence) else {
            *self.others.entry(finding.rule()).or_default() += 1;
            return;
        };
        self.break_duty(
            duty,
            Violation {
                time_ns: finding.time_ns,
                device: finding.device.clone(),
                region: finding.region,
                text: sentence::finding(&finding.evidence),
                advice: Some(finding.rule().advice().into()),
            },
        );
    }

    /// Records what `observe` has seen on a device.
    fn apply(&mut self, device: &str, time_ns: u64, seen: Vec<observe::Seen>) {
        for seen in seen {
            match seen.broken {
                None => self.exercise(seen.duty),
                Some(text) => self.break_duty(
                    seen.duty,
                    Violation {
                        time_ns,
                        device: device.to_owned(),
                        region: seen.region,
                        text,
                        advice: None,
                    },
                ),
            }
        }
    }

    fn device(&mut self, name: &str) -> Option<&mut Device> {
        if !self.devices.contains_key(name) && self.devices.len() < MOST_DEVICES {
            self.devices.insert(name.to_owned(), Device::default());
        }
        self.devices.get_mut(name)
    }
}

impl Sink for Check {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        let (device, time_ns) = match output {
            Output::Finding(finding) => {
                self.finding(finding);
                return Ok(());
            }
            Output::Closed(closed) => {
                self.devices.remove(&closed.device);
                return Ok(());
            }
            Output::Cycle(cycle) => (&cycle.device, observe::cycle_ns(cycle)),
            Output::Transition(transition) => (&transition.device, transition.begin_ns),
            Output::StateInterval(interval) => (&interval.device, interval.since_ns),
            Output::IrqChange(change) => (&change.device, change.begin_ns),
            Output::Interrupt(interrupt) => (&interrupt.device, interrupt.time_ns),
            Output::Mapped(mapped) => (&mapped.device, mapped.time_ns),
            Output::Zap(_)
            | Output::Stage(_)
            | Output::Opened(_)
            | Output::Inferred(_)
            | Output::InFlightCall(_) => return Ok(()),
        };
        if let Some(observed) = self.device(device) {
            let seen = observed.output(output);
            self.apply(device, time_ns, seen);
        }
        Ok(())
    }

    fn event(&mut self, event: &Event, device: &str) -> io::Result<()> {
        if let Body::Lost(lost) = &event.body {
            *self.missing.lost.entry(lost.records).or_default() += lost.count;
        }
        if event.device().is_some()
            && let Some(observed) = self.device(device)
        {
            let seen = observed.event(&event.body);
            self.apply(device, event.time_ns, seen);
        }
        Ok(())
    }

    fn checkpoint(&mut self, _: &Checkpoint) -> io::Result<()> {
        Ok(())
    }

    fn downtime(&mut self, _: &Downtime) -> io::Result<()> {
        Ok(())
    }

    fn blind(&mut self, _: &Blind) -> io::Result<()> {
        self.missing.blind = true;
        Ok(())
    }

    fn owner(&mut self, _: u32, _: Option<&str>) {}

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        // Some losses have no place in time.
        let placed = self.missing.lost.values().sum();
        if summary.lost_total() > placed {
            let rest = summary.lost_total() - placed;
            *self.missing.lost.entry(LostKind::Other).or_default() += rest;
        }
        self.missing.uncounted = summary.seen.is_none();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
