//! Adds up what a trace contains.

use crate::model::{
    Closed, Cycle, DeviceStats, Finding, FromTo, MigrationStats, Output, RegionStats, Stage,
    StateInterval, StateStats, Stats, Transition, Zap, ZapStats,
};

impl RegionStats {
    fn record(&mut self, cycle: &Cycle) {
        *self.outcomes.entry(cycle.outcome).or_default() += 1;
        // A cycle that is not complete may lack stages in between.
        if !cycle.complete() {
            return;
        }
        for stage in Stage::ALL.iter().copied() {
            if let Some(ns) = cycle.stages.duration(stage) {
                self.stages.entry(stage).or_default().record(ns);
            }
        }
        if let Some(ns) = cycle.stages.total() {
            self.total.record(ns);
        }
    }
}

impl ZapStats {
    fn record(&mut self, zap: &Zap) {
        self.zaps += 1;
        self.populated += zap.populated();
        self.refused += zap.refused();
        self.fault_ns = self.fault_ns.saturating_add(zap.fault_ns);
        for region in &zap.regions {
            self.unsized_faults += region.unsized_faults;
            for (bytes, count) in &region.pages {
                self.bytes = self.bytes.saturating_add(bytes.saturating_mul(*count));
            }
        }
        if let Some(ns) = zap.duration() {
            self.duration.record(ns);
        }
    }
}

impl MigrationStats {
    fn transition(&mut self, transition: &Transition) {
        let key = FromTo {
            from: transition.from,
            to: transition.to,
        };
        let change = self.changes.entry(key).or_default();
        match transition.result {
            Some(Ok(())) => {
                change.succeeded += 1;
                if let Some(ns) = transition.duration() {
                    change.duration.record(ns);
                }
            }
            Some(Err(errno)) => *change.failed.entry(errno).or_default() += 1,
            None => change.unfinished += 1,
        }
        self.inside.add(&transition.inside);
        if let Some(spent) = &transition.spent {
            self.spent.add(spent);
        }
    }

    fn interval(&mut self, interval: &StateInterval) {
        let state = self.states.entry(interval.state).or_insert(StateStats {
            complete: true,
            ..StateStats::default()
        });
        state.intervals += 1;
        state.total_ns = state.total_ns.saturating_add(interval.duration());
        state.complete &= interval.entered && interval.left;
        state.activity.add(&interval.activity);
        state.precopy = interval.precopy.or(state.precopy);
    }
}

impl Stats {
    /// Adds an output up.
    pub(super) fn add(&mut self, output: &Output) {
        match output {
            Output::Cycle(cycle) => self.region(&cycle.device, cycle.region).record(cycle),
            Output::Transition(transition) => self.transition(transition),
            Output::Finding(finding) => self.finding(finding),
            Output::StateInterval(interval) => {
                let state = &interval.state;
                if self.has_row(&interval.device, state, |device| &device.migration.states) {
                    self.device(&interval.device).migration.interval(interval);
                }
            }
            Output::Zap(zap) => self.device(&zap.device).zap(zap),
            Output::Opened(opened) => self.device(&opened.device).opens += 1,
            Output::Closed(closed) => self.device(&closed.device).closed(closed),
            Output::Stage(_)
            | Output::IrqChange(_)
            | Output::Interrupt(_)
            | Output::Mapped(_)
            | Output::Inferred(_)
            | Output::InFlightCall(_) => {}
        }
    }

    fn transition(&mut self, transition: &Transition) {
        let device = &transition.device;
        self.device(device).transitions += 1;
        let key = FromTo {
            from: transition.from,
            to: transition.to,
        };
        if self.has_row(device, &key, |device| &device.migration.changes) {
            self.device(device).migration.transition(transition);
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let rule = finding.rule();
        let device = self.device(&finding.device);
        let evidence = || finding.evidence.clone();
        device.examples.entry(rule).or_insert_with(evidence);
        let findings = self.findings_of(&finding.device, finding.region);
        *findings.entry(rule).or_default() += 1;
    }
}

impl DeviceStats {
    fn zap(&mut self, zap: &Zap) {
        let cause = self.zaps.entry(zap.cause.kind).or_default();
        cause.record(zap);
    }

    fn closed(&mut self, closed: &Closed) {
        self.closes += 1;
        self.deaths += u64::from(closed.dying == Some(true));
    }
}
