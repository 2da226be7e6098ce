//! Makes spans of outputs.

use super::{
    Attributes, Moment, Span, Value,
    id::Kind,
    migration::{Migration, Migrations},
};
use crate::{
    event::{DeviceState, ResultName, Task},
    model::{Cycle, Finding, Output, Stage, Transition, TransitionRef},
    sink::sentence,
};

/// The spans of one trace.
#[derive(Debug)]
pub struct Spans {
    /// Distinguishes this trace from others.
    seed: u64,
    migrations: Migrations,
    findings: u64,
}

fn state(state: Option<DeviceState>) -> String {
    state.map_or_else(|| "unknown".to_owned(), |state| state.to_string())
}

fn of_task(task: &Task) -> Attributes {
    vec![
        ("process.pid", task.pid.into()),
        ("thread.id", task.tid.into()),
        ("thread.name", task.comm.as_str().into()),
    ]
}

/// A number that is left out where it is unknown.
fn known<T: Into<Value>>(name: &'static str, value: Option<T>) -> Attributes {
    value
        .map(|value| (name, value.into()))
        .into_iter()
        .collect()
}

impl Spans {
    /// Of a trace; `seed` distinguishes its ids from those of others.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            migrations: Migrations::default(),
            findings: 0,
        }
    }

    /// Passes on the spans that end with an output.
    pub fn output(&mut self, output: &Output, mut emit: impl FnMut(Span)) {
        match output {
            Output::Cycle(cycle) => self.cycle(cycle, &mut emit),
            Output::Transition(change) => self.change(change, &mut emit),
            Output::Finding(finding) => self.finding(finding, &mut emit),
            Output::Closed(closed) => {
                let ended = self.migrations.closed(&closed.device, closed.time_ns);
                if let Some(migration) = ended {
                    emit(self.migration(&closed.device, &migration, true));
                }
            }
            _ => {}
        }
    }

    /// Passes on the migrations that go on when the trace ends.
    pub fn finish(&mut self, emit: impl FnMut(Span)) {
        let rest = self.migrations.rest();
        rest.map(|(device, migration)| self.migration(&device, &migration, false))
            .for_each(emit);
    }

    fn migration(&self, device: &str, migration: &Migration, complete: bool) -> Span {
        let kind = migration.kind();
        Span {
            trace: kind.trace(self.seed),
            id: kind.span(self.seed),
            parent: None,
            name: "migration".to_owned(),
            begin_ns: migration.begin_ns,
            end_ns: migration.end_ns,
            attributes: vec![
                ("remap.device", device.into()),
                ("remap.complete", complete.into()),
            ],
            moments: Vec::new(),
            failed: None,
        }
    }

    /// The migration that a state change belongs to.
    fn migration_of(
        &mut self,
        device: &str,
        change: &TransitionRef,
        emit: &mut impl FnMut(Span),
    ) -> Migration {
        let (migration, removed) = self.migrations.of(device, change);
        if let Some((device, removed)) = removed {
            emit(self.migration(&device, &removed, false));
        }
        migration
    }

    fn change(&mut self, change: &Transition, emit: &mut impl FnMut(Span)) {
        let named = TransitionRef {
            id: change.id,
            from: change.from,
            to: change.to,
            begin_ns: change.begin_ns,
        };
        let migration = self.migration_of(&change.device, &named, emit);
        // Where the return was not observed, the span has no length.
        let end_ns = change.end_ns.unwrap_or(change.begin_ns);
        let result = match change.result {
            Some(result) => ResultName(result).to_string(),
            None => "unknown".to_owned(),
        };
        let mut attributes = vec![
            ("remap.device", change.device.as_str().into()),
            ("remap.transition", change.id.into()),
            ("remap.from", state(change.from).into()),
            ("remap.to", state(change.to).into()),
            ("remap.result", result.into()),
        ];
        attributes.extend(known("remap.waited_ns", change.waited_ns));
        attributes.extend(of_task(&change.task));
        let ok = change.result == Some(Ok(()));
        let failed = change.result.and_then(Result::err);
        emit(Span {
            trace: migration.kind().trace(self.seed),
            id: Kind::Change(change.id).span(self.seed),
            parent: Some(migration.kind().span(self.seed)),
            name: format!("{} to {}", state(change.from), state(change.to)),
            begin_ns: change.begin_ns,
            end_ns,
            attributes,
            moments: Vec::new(),
            failed: failed.map(|errno| errno.to_string()),
        });
        let ended = self
            .migrations
            .changed(&change.device, change.to, (end_ns, ok));
        if let Some(migration) = ended {
            emit(self.migration(&change.device, &migration, true));
        }
    }

    fn cycle(&mut self, cycle: &Cycle, emit: &mut impl FnMut(Span)) {
        let observed = Stage::ALL
            .iter()
            .filter_map(|stage| cycle.stages.ns(*stage));
        let (Some(begin_ns), Some(end_ns)) = (observed.clone().min(), observed.max()) else {
            return;
        };
        let kind = Kind::Cycle(cycle.trigger_id, cycle.region);
        let (trace, parent) = match &cycle.transition {
            Some(change) => {
                let migration = self.migration_of(&cycle.device, change, emit);
                let parent = Kind::Change(change.id).span(self.seed);
                (migration.kind().trace(self.seed), Some(parent))
            }
            None => (kind.trace(self.seed), None),
        };
        let id = kind.span(self.seed);
        for stage in Stage::ALL {
            let stamp = cycle.stages.get(*stage);
            if let (Some(stamp), Some(ns)) = (stamp, cycle.stages.duration(*stage)) {
                let kind = Kind::Stage(cycle.trigger_id, cycle.region, *stage as u64);
                emit(Span {
                    trace,
                    id: kind.span(self.seed),
                    parent: Some(id),
                    name: stage.name().to_owned(),
                    begin_ns: stamp.ns - ns,
                    end_ns: stamp.ns,
                    attributes: of_task(&stamp.task),
                    moments: Vec::new(),
                    failed: None,
                });
            }
        }
        let outcome = cycle.outcome.name();
        let attributes = vec![
            ("remap.device", cycle.device.as_str().into()),
            ("remap.region", cycle.region.into()),
            ("remap.trigger", cycle.trigger_id.into()),
            ("remap.outcome", outcome.into()),
        ];
        emit(Span {
            trace,
            id,
            parent,
            name: "cycle".to_owned(),
            begin_ns,
            end_ns,
            attributes,
            moments: Vec::new(),
            failed: (!cycle.complete()).then(|| outcome.to_owned()),
        });
    }

    /// A span without a length, with the finding as its event.
    fn finding(&mut self, finding: &Finding, emit: &mut impl FnMut(Span)) {
        self.findings += 1;
        let kind = Kind::Finding(self.findings);
        let rule = finding.rule();
        let device = ("remap.device", finding.device.as_str().into());
        let mut attributes = vec![
            device.clone(),
            ("remap.rule", rule.name().into()),
            ("remap.text", sentence::finding(&finding.evidence).into()),
            ("remap.advice", rule.advice().into()),
        ];
        attributes.extend(known("remap.region", finding.region));
        attributes.extend(known("remap.trigger", finding.trigger_id));
        let migration = self.migrations.open(&finding.device);
        let trace = migration.map_or(kind, |migration| migration.kind());
        emit(Span {
            trace: trace.trace(self.seed),
            id: kind.span(self.seed),
            parent: migration.map(|migration| migration.kind().span(self.seed)),
            name: format!("finding {}", rule.name()),
            begin_ns: finding.time_ns,
            end_ns: finding.time_ns,
            attributes: vec![device],
            moments: vec![Moment {
                name: "finding",
                time_ns: finding.time_ns,
                attributes,
            }],
            failed: Some(rule.name().to_owned()),
        });
    }
}
