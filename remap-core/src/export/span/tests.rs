use std::{cell::RefCell, rc::Rc};

use super::*;
use crate::{
    event::{DeviceState, Errno, Task},
    export::derived::derive,
    model::{Activity, Evidence, Finding, Output, StateInterval, Transition},
};

use DeviceState::{PreCopy, Running, StopCopy};

const DEVICE: &str = "0000:01:00.0";

fn task() -> Task {
    Task {
        pid: 1,
        tid: 2,
        comm: "vmm".to_owned(),
    }
}

fn change(id: u64, from: DeviceState, to: DeviceState, result: Result<(), Errno>) -> Output {
    Output::Transition(Box::new(Transition {
        id,
        device: DEVICE.to_owned(),
        from: Some(from),
        to: Some(to),
        begin_ns: 100 * id,
        end_ns: Some(100 * id + 50),
        result: Some(result),
        waited_ns: Some(20),
        path: Vec::new(),
        data_fd: None,
        inside: Activity::default(),
        spent: None,
        task: task(),
    }))
}

fn finding(time_ns: u64) -> Output {
    Output::Finding(Finding {
        time_ns,
        device: DEVICE.to_owned(),
        region: Some(2),
        trigger_id: None,
        evidence: Evidence::ErrorState {
            after: None,
            confirmed: true,
        },
    })
}

/// The last state of a device that is closed.
fn closed(until_ns: u64) -> Output {
    Output::StateInterval(Box::new(StateInterval {
        device: DEVICE.to_owned(),
        state: StopCopy,
        since_ns: 150,
        until_ns,
        entered: true,
        left: false,
        data_fd: None,
        activity: Activity::default(),
        precopy: None,
        task: task(),
    }))
}

#[derive(Clone, Default)]
struct Taken(Rc<RefCell<Vec<Span>>>);

impl Spans for Taken {
    fn span(&mut self, span: Span) -> io::Result<()> {
        self.0.borrow_mut().push(span);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn of(outputs: &[Output]) -> Vec<Span> {
    let taken = Taken::default();
    let mut spans = Spanning::new(taken.clone(), None, "seed");
    for row in outputs.iter().flat_map(derive) {
        spans.row(&row).unwrap();
    }
    spans.end().unwrap();
    taken.0.take()
}

fn named(all: &[Span], name: &str) -> Vec<Span> {
    let named = all.iter().filter(|span| span.name == name);
    named.cloned().collect()
}

fn has(span: &Span, key: &str, value: u64) -> bool {
    let attribute = (key.to_owned(), Value::Number(value));
    span.attributes.contains(&attribute)
}

#[test]
fn a_migration_lasts_until_the_device_runs_again() {
    let all = of(&[
        change(1, Running, PreCopy, Ok(())),
        finding(160),
        change(2, PreCopy, Running, Err(Errno::EINVAL)),
        change(3, PreCopy, Running, Ok(())),
        change(4, Running, PreCopy, Ok(())),
    ]);
    let migrations = named(&all, "migration");
    let [migration, next] = &migrations[..] else {
        panic!("{all:#?}");
    };
    let [first, begun] = &named(&all, "change to PRE_COPY")[..] else {
        panic!("{all:#?}");
    };
    let [failed, ended] = &named(&all, "change to RUNNING")[..] else {
        panic!("{all:#?}");
    };
    for part in [first, failed, ended] {
        let of = (part.trace_id, part.parent);
        assert_eq!(of, (migration.trace_id, Some(migration.span_id)));
    }
    assert_eq!((migration.begin_ns, migration.end_ns), (100, 350));
    assert_eq!(failed.failed.as_deref(), Some("EINVAL"));
    let [moment] = &migration.events[..] else {
        panic!("{migration:#?}");
    };
    assert_eq!(moment.time_ns, 160);
    let region = ("remap.region".to_owned(), Value::Number(2));
    assert!(moment.attributes.contains(&region));
    assert_eq!(begun.trace_id, next.trace_id);
    assert_ne!(next.trace_id, migration.trace_id);
    assert!(has(migration, "remap.runs_again", 1) && has(next, "remap.runs_again", 0));
}

#[test]
fn a_source_migrates_until_it_is_closed() {
    let late_ns = 900 + SETTLE_NS + 1;
    let all = of(&[
        change(1, Running, StopCopy, Ok(())),
        closed(900),
        finding(late_ns),
    ]);
    let [migration] = &named(&all, "migration")[..] else {
        panic!("{all:#?}");
    };
    assert_eq!((migration.begin_ns, migration.end_ns), (100, 900));
    assert!(has(migration, "remap.runs_again", 0));
    let [alone] = &named(&all, "finding error-state")[..] else {
        panic!("{all:#?}");
    };
    assert_eq!(alone.parent, None);
    assert_eq!(alone.failed.as_deref(), Some("error-state"));
    assert_ne!(alone.trace_id, migration.trace_id);
}

#[test]
fn ids_differ_and_are_the_same_each_time() {
    let outputs = [change(1, Running, PreCopy, Ok(())), finding(1), finding(2)];
    let all = of(&outputs);
    assert_eq!(all, of(&outputs));
    let mut ids: Vec<_> = all.iter().map(|span| span.span_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len());
    assert!(ids[0] != [0; 8] && all.iter().all(|span| span.trace_id != [0; 16]));
}
