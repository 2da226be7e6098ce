use super::*;
use crate::{
    event::{DeviceState, Errno, Task},
    model::{Activity, Closed, Evidence, Finding, Output, Transition},
};

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

fn closed(time_ns: u64) -> Output {
    Output::Closed(Closed {
        device: DEVICE.to_owned(),
        time_ns,
        dying: Some(false),
        state: None,
        inside: None,
        unanswered: Vec::new(),
        task: task(),
    })
}

fn of(outputs: &[Output]) -> Vec<Span> {
    let (mut spans, mut all) = (Spans::new(7), Vec::new());
    for output in outputs {
        spans.output(output, |span| all.push(span));
    }
    spans.finish(|span| all.push(span));
    all
}

use DeviceState::{PreCopy, Running, StopCopy};

#[test]
fn a_migration_lasts_until_the_device_runs_again() {
    let all = of(&[
        change(1, Running, PreCopy, Ok(())),
        finding(160),
        change(2, PreCopy, Running, Err(Errno::EINVAL)),
        change(3, PreCopy, Running, Ok(())),
        change(4, Running, PreCopy, Ok(())),
    ]);
    let names: Vec<&str> = all.iter().map(|span| span.name.as_str()).collect();
    let expected = [
        "RUNNING to PRE_COPY",
        "finding error-state",
        "PRE_COPY to RUNNING",
        "PRE_COPY to RUNNING",
        "migration",
        "RUNNING to PRE_COPY",
        "migration",
    ];
    assert_eq!(names, expected);
    let [first, finding, failed, _, migration, next, cut] = &all[..] else {
        panic!("{all:#?}");
    };
    for part in [first, finding, failed] {
        assert_eq!(
            (part.trace, part.parent),
            (migration.trace, Some(migration.id))
        );
    }
    assert_eq!((migration.begin_ns, migration.end_ns), (100, 350));
    assert_eq!(failed.failed.as_deref(), Some("EINVAL"));
    assert_eq!(finding.moments[0].time_ns, 160);
    let region = ("remap.region", Value::Number(2));
    assert!(finding.moments[0].attributes.contains(&region));
    assert_eq!(next.trace, cut.trace);
    assert_ne!(next.trace, migration.trace);
    let complete = |span: &Span| span.attributes.contains(&("remap.complete", true.into()));
    assert!(complete(migration) && !complete(cut));
}

#[test]
fn a_source_migrates_until_it_is_closed() {
    let all = of(&[
        change(1, Running, StopCopy, Ok(())),
        closed(900),
        finding(950),
    ]);
    let [_, migration, alone] = &all[..] else {
        panic!("{all:#?}");
    };
    assert_eq!((migration.begin_ns, migration.end_ns), (100, 900));
    assert_eq!(alone.parent, None);
    assert_ne!(alone.trace, migration.trace);
}

#[test]
fn ids_differ_and_are_the_same_each_time() {
    let outputs = [change(1, Running, PreCopy, Ok(())), finding(1), finding(1)];
    let all = of(&outputs);
    assert_eq!(all, of(&outputs));
    let mut ids: Vec<u64> = all.iter().map(|span| span.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len());
    assert!(ids[0] != 0 && all.iter().all(|span| span.trace != 0));
}
