//! What goes out, and when: the queue between the trackers and the caller.
//!
//! A cycle that ended goes out at once. A finding, and a cycle with a stage that was not observed,
//! is held until its evidence has settled: a record of another CPU may still arrive that explains
//! it, or the report of a loss, which retracts it.

use std::collections::BTreeMap;

use super::lost::Effect as _;
use super::options::Options;
use crate::event::LostKind;
use crate::model::{Outcome, Output, Reason, Stats};

/// So many outputs are held at most; the first of more go out before their evidence has settled.
const MOST: usize = 4096;

/// Outputs, by the time at which they may go out.
#[derive(Debug)]
pub(super) struct OutputQueue {
    options: Options,
    stats: Stats,
    ready: Vec<Output>,
    /// Outputs whose evidence has not settled, by the time at which it has, and by number.
    held: BTreeMap<(u64, u64), Output>,
    ids: Ids,
}

/// The last number of each kind, within the trace.
#[derive(Debug, Default)]
pub(super) struct Ids {
    triggers: u64,
    changes: u64,
    zaps: u64,
    held: u64,
}

impl Ids {
    /// The number of the next signal, from 1.
    pub(super) fn next_trigger(&mut self) -> u64 {
        self.triggers += 1;
        self.triggers
    }

    /// The number of the next state change, from 1.
    pub(super) fn next_change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    /// The number of the next zap, from 1.
    pub(super) fn next_zap(&mut self) -> u64 {
        self.zaps += 1;
        self.zaps
    }
}

impl OutputQueue {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            stats: Stats::default(),
            ready: Vec::new(),
            held: BTreeMap::new(),
            ids: Ids::default(),
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// The sums over what went out, and what only is a sum.
    pub(super) fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(super) fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    pub(super) fn into_stats(self) -> Stats {
        self.stats
    }

    /// The numbers that are given within the trace.
    pub(super) fn ids(&mut self) -> &mut Ids {
        &mut self.ids
    }

    /// When something that happened at `now` has settled.
    pub(super) fn settled(&self, now: u64) -> u64 {
        now.saturating_add(self.options.settle_ns)
    }

    /// Holds an output of `now` until its evidence has settled.
    pub(super) fn hold(&mut self, now: u64, output: Output) {
        let due_ns = self.settled(now);
        self.ids.held += 1;
        self.held.insert((due_ns, self.ids.held), output);
    }

    /// Releases what has settled by `now`.
    pub(super) fn release(&mut self, now: u64) {
        while let Some(first) = self.held.first_entry()
            && (first.key().0 <= now || self.held.len() > MOST)
        {
            if let Some((_, output)) = self.held.pop_first() {
                self.emit(output);
            }
        }
    }

    /// Records of `device` were lost: findings about it that are held, and that such a record could
    /// refute, are not evident any more, and a stage that is missing may be one of those.
    pub(super) fn retract(&mut self, device: &str, lost: LostKind) {
        self.held.retain(|_, output| match output {
            Output::Finding(finding) if finding.device == device => !lost.refutes(finding.rule()),
            Output::Cycle(cycle) if cycle.device == device && lost.can_be_stage() => {
                cycle.outcome = Outcome::Incomplete;
                cycle.reason = Some(Reason::RecordsLost);
                true
            }
            _ => true,
        });
    }

    /// Emits an output, if it is wanted, and adds it up.
    pub(super) fn emit(&mut self, output: Output) {
        self.stats.add(&output);
        if self.wants(&output) {
            self.ready.push(output);
        }
    }

    fn wants(&self, output: &Output) -> bool {
        match output {
            Output::IrqChange(_) | Output::Interrupt(_) => self.options.interrupts,
            Output::Mapped(_) => self.options.mappings,
            _ => true,
        }
    }

    /// What is ready for the caller.
    pub(super) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.ready)
    }
}
