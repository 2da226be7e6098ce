//! A tracer that many tests share: each collects the lines about its own span of time.

use std::ops::RangeInclusive;

use anyhow::{Context, Result};

use super::line::{Line, Lines, time_ns};
use super::trace::{Trace, Traced};
use super::{pass, until};

/// Longer than evidence settles before a finding is reported, ns.
const SETTLED_NS: u64 = 150_000_000;

/// The tracer, once a test has needed it.
pub struct Session {
    arguments: &'static [&'static str],
    trace: Option<Trace>,
    /// What was reported and belongs to no span that was collected.
    lines: Vec<Line>,
}

impl Session {
    /// A tracer with these further arguments, not started yet.
    pub fn new(arguments: &'static [&'static str]) -> Self {
        Self {
            arguments,
            trace: None,
            lines: Vec::new(),
        }
    }

    /// Starts the tracer, unless it runs.
    pub fn start(&mut self) -> Result<()> {
        if self.trace.is_none() {
            self.trace = Some(Trace::start_recorded(self.arguments)?);
        }
        Ok(())
    }

    /// Takes the lines about a span, once all of them have been reported. `mark` does something
    /// that the tracer reports after them, in the order of time.
    pub fn collect(
        &mut self,
        span_ns: &RangeInclusive<u64>,
        mark: impl FnOnce() -> Result<()>,
    ) -> Result<Lines> {
        let settled_ns = span_ns.end() + SETTLED_NS;
        pass(settled_ns)?;
        mark()?;
        until("the tracer to report everything", || {
            let trace = self.trace.as_ref().context("no tracer")?;
            self.lines.extend(trace.take()?.0);
            let is_mark = |line: &Line| {
                matches!(line, Line::Transition(_) | Line::Event { .. })
                    && time_ns(line) > Some(settled_ns)
            };
            Ok(self.lines.iter().any(is_mark).then_some(()))
        })?;
        let inside = |line: &mut Line| time_ns(line).is_some_and(|ns| span_ns.contains(&ns));
        Ok(Lines(self.lines.extract_if(.., inside).collect()))
    }

    /// Ends the tracer, if it runs: its account balances, and a report of its recording is what it has
    /// written. The lines are those that no span has
    /// taken.
    pub fn end(&mut self) -> Result<Option<Traced>> {
        let Some(trace) = self.trace.take() else {
            return Ok(None);
        };
        let mut traced = trace.end_recorded(self.arguments)?;
        traced.lines.0.splice(..0, self.lines.drain(..));
        Ok(Some(traced))
    }
}
