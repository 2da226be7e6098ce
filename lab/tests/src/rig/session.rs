//! A tracer that many tests share: each has its own span of time in it.

use anyhow::{Context, Result};

use super::trace::{Line, Lines, Trace};
use super::{Lab, now, until};

/// Longer than evidence settles before a finding is told, ns.
const SETTLED_NS: u64 = 150_000_000;

/// The tracer, once a test has needed it.
#[derive(Default)]
pub struct Session {
    trace: Option<Trace>,
    lines: Vec<Line>,
}

impl Session {
    fn take(&mut self) -> Result<()> {
        let trace = self.trace.as_ref().context("no tracer")?;
        self.lines.extend(trace.take()?.0);
        Ok(())
    }

    /// When the last state change began that was told, ns.
    fn last_change(&mut self) -> Result<u64> {
        self.take()?;
        let begin = |line: &Line| match line {
            Line::Transition(transition) => Some(transition.begin_ns),
            _ => None,
        };
        Ok(self.lines.iter().filter_map(begin).max().unwrap_or(0))
    }

    /// Takes what was told of the time between `begin_ns` and `end_ns`; forgets the rest.
    fn between(&mut self, begin_ns: u64, end_ns: u64) -> Lines {
        let inside = |line: &Line| {
            let ns = match line {
                Line::Cycle(cycle) => cycle.trigger_ns,
                Line::Transition(transition) => Some(transition.begin_ns),
                Line::Finding(finding) => Some(finding.time_ns),
                Line::Closed(closed) => Some(closed.time_ns),
                _ => None,
            };
            ns.is_some_and(|ns| (begin_ns..=end_ns).contains(&ns))
        };
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(inside);
        Lines(lines)
    }

    /// Ends it: nothing was lost, and the account balances.
    pub fn end(&mut self) -> Result<()> {
        let Some(trace) = self.trace.take() else {
            return Ok(());
        };
        trace.end(0)?.summary.lost_nothing()
    }
}

impl Lab {
    /// Does something that leaves the device closed, and gives what the shared tracer said of it.
    pub fn watch<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, Lines)> {
        if self.session.trace.is_none() {
            self.session.trace = Some(Trace::start(&[])?);
        }
        let begin_ns = now()?;
        let done = act(self)?;
        let end_ns = now()?;
        // The tracer tells in the order of time: a state change that is late enough is behind all
        // that there is to say.
        self.driver.clean()?;
        let late_ns = end_ns + SETTLED_NS;
        until("the evidence to settle", || {
            Ok((now()? > late_ns).then_some(()))
        })?;
        self.use_it().context("the device afterwards")?;
        self.used = true;
        until("the tracer to have told everything", || {
            Ok((self.session.last_change()? > late_ns).then_some(()))
        })?;
        Ok((done, self.session.between(begin_ns, end_ns)))
    }
}
