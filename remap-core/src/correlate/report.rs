//! What goes out, when: the desk between the devices' state and the caller.
//!
//! A cycle that ended goes out at once. Whatever accuses somebody, or says that a stage is
//! missing, is held back until its evidence has settled: a record of another CPU may still arrive
//! that explains it, or the word that records were lost.

use super::Options;
use super::rule::Found;
use crate::event::Task;
use crate::model::{
    Closed, Cycle, Finding, InFlightCall, Inferred, Interrupt, IrqChange, Mapped, Opened, Outcome,
    Output, Rule, Stage, StageLine, StateInterval, Stats, Transition, Zap,
};

/// Why a cycle is incomplete when records were lost.
pub(super) const RECORDS_LOST: &str = "records lost";

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) options: Options,
    pub(super) stats: Stats,
    out: Vec<Output>,
    held: Vec<(u64, Output)>,
    triggers: u64,
    changes: u64,
    zaps: u64,
}

impl Desk {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            stats: Stats::default(),
            out: Vec::new(),
            held: Vec::new(),
            triggers: 0,
            changes: 0,
            zaps: 0,
        }
    }

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

    /// When something that happened at `now` has settled.
    pub(super) fn settled(&self, now: u64) -> u64 {
        now.saturating_add(self.options.settle_ns)
    }

    pub(super) fn cycle(&mut self, now: u64, cycle: Cycle) {
        let lost = cycle.reason.as_deref() == Some(RECORDS_LOST);
        if cycle.outcome == Outcome::Incomplete && !lost {
            self.hold(now, Output::Cycle(Box::new(cycle)));
        } else {
            self.emit(Output::Cycle(Box::new(cycle)));
        }
    }

    pub(super) fn transition(&mut self, transition: Transition) {
        self.emit(Output::Transition(Box::new(transition)));
    }

    pub(super) fn stay(&mut self, stay: StateInterval) {
        self.emit(Output::StateInterval(Box::new(stay)));
    }

    pub(super) fn zap(&mut self, zap: Zap) {
        self.emit(Output::Zap(Box::new(zap)));
    }

    pub(super) fn irq_change(&mut self, change: IrqChange) {
        if self.options.interrupts {
            self.emit(Output::IrqChange(change));
        }
    }

    pub(super) fn interrupt(&mut self, interrupt: Interrupt) {
        if self.options.interrupts {
            self.emit(Output::Interrupt(interrupt));
        }
    }

    pub(super) fn mapped(&mut self, mapped: Mapped) {
        if self.options.mappings {
            self.emit(Output::Mapped(mapped));
        }
    }

    pub(super) fn opened(&mut self, opened: Opened) {
        self.emit(Output::Opened(opened));
    }

    pub(super) fn closed(&mut self, closed: Closed) {
        self.emit(Output::Closed(closed));
    }

    pub(super) fn inferred(&mut self, inferred: Inferred) {
        self.emit(Output::Inferred(inferred));
    }

    pub(super) fn early(&mut self, early: InFlightCall) {
        self.emit(Output::InFlightCall(early));
    }

    pub(super) fn finding(
        &mut self,
        now: u64,
        device: &str,
        rule: Rule,
        found: Found,
        trigger_id: Option<u64>,
    ) {
        let finding = Finding {
            time_ns: now,
            rule,
            device: device.to_owned(),
            region: found.region,
            trigger_id,
            text: found.text,
        };
        self.hold(now, Output::Finding(finding));
    }

    pub(super) fn stage(
        &mut self,
        device: &str,
        region: u32,
        trigger_id: u64,
        stage: Stage,
        time_ns: u64,
        task: &Task,
    ) {
        if self.options.stages {
            self.out.push(Output::Stage(StageLine {
                device: device.to_owned(),
                region,
                trigger_id,
                stage,
                time_ns,
                task: task.clone(),
            }));
        }
    }

    /// Records were lost: what is held is not evident any more.
    pub(super) fn lose(&mut self) {
        self.held.retain_mut(|(_, output)| match output {
            Output::Finding(_) => false,
            Output::Cycle(cycle) => {
                cycle.outcome = Outcome::Incomplete;
                cycle.reason = Some(RECORDS_LOST.to_owned());
                true
            }
            _ => true,
        });
    }

    /// Lets go of what has settled by `now`.
    pub(super) fn release(&mut self, now: u64) {
        if self.held.iter().all(|(due, _)| *due > now) {
            return;
        }
        for (due, output) in std::mem::take(&mut self.held) {
            if due <= now {
                self.emit(output);
            } else {
                self.held.push((due, output));
            }
        }
    }

    /// What is ready for the caller.
    pub(super) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    fn hold(&mut self, now: u64, output: Output) {
        self.held.push((self.settled(now), output));
    }

    fn emit(&mut self, output: Output) {
        match &output {
            Output::Cycle(cycle) => self.stats.cycle(cycle),
            Output::Transition(transition) => self.stats.transition(transition),
            Output::Finding(finding) => self.stats.finding(finding),
            Output::StateInterval(stay) => self.stats.stay(stay),
            Output::Zap(zap) => self.stats.zap(zap),
            Output::Opened(opened) => self.stats.opened(opened),
            Output::Closed(closed) => self.stats.closed(closed),
            Output::Stage(_)
            | Output::IrqChange(_)
            | Output::Interrupt(_)
            | Output::Mapped(_)
            | Output::Inferred(_)
            | Output::InFlightCall(_) => {}
        }
        self.out.push(output);
    }
}
