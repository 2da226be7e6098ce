//! Downtimes of migrations that are played by hand.

use proptest::prelude::*;

use super::super::checkpoint::tests::checkpoint;
use super::*;
use crate::event::{Answer, Call, DeviceState, FeatureData, FeatureOp, Origin, Task};

const SOURCE: DeviceKey = DeviceKey(1);
const FOREIGN: DeviceKey = DeviceKey(9);

fn event(time_ns: u64, body: Body) -> Event {
    let task = Task {
        pid: 5,
        tid: 6,
        comm: "migration".into(),
    };
    Event {
        time_ns,
        cpu: 0,
        task,
        body,
    }
}

fn state_change(device: DeviceKey, begin_ns: u64, end_ns: u64) -> [Event; 2] {
    let op = FeatureOp {
        get: false,
        set: true,
        probe: false,
    };
    let call = || Call::Feature {
        feature: 2,
        op,
        data: FeatureData::State(DeviceState::StopCopy),
    };
    let enter = Body::Enter {
        device,
        call: call(),
    };
    let exit = Body::Exit {
        device,
        call: call(),
        begin_ns,
        result: Ok(0),
        answer: Answer::None,
    };
    [event(begin_ns, enter), event(end_ns, exit)]
}

fn read(begin_ns: u64, end_ns: u64) -> Event {
    let body = Body::Data {
        device: Some(SOURCE),
        file: 1,
        write: false,
        requested: 1,
        begin_ns,
        result: Ok(1),
    };
    event(end_ns, body)
}

fn known(device: DeviceKey, name: &str) -> Event {
    let name = name.to_owned();
    let body = Body::Device {
        device,
        name,
        driver: None,
        origin: Origin::Seen,
    };
    event(1, body)
}

fn scene() -> Downtimes {
    let mut downtimes = Downtimes::default();
    downtimes.event(&known(SOURCE, "0000:01:00.0"));
    downtimes.event(&known(FOREIGN, "0000:09:00.0"));
    let set = "vfio_migration_set_state  (0000:01:00.0) new state STOP_COPY, recover state STOP";
    for (time_ns, words) in [
        (90, set),
        (100, "vmstate_downtime_checkpoint src-downtime-start"),
        (105, "vm_state_notify running 0 reason 5 (finish-migrate)"),
        (200, "vmstate_downtime_checkpoint src-vm-stopped"),
    ] {
        downtimes.checkpoint(&checkpoint("src", time_ns, words));
    }
    for events in [
        // It began before the downtime; only what is within counts.
        state_change(SOURCE, 50, 150),
        state_change(FOREIGN, 150, 200),
    ] {
        events.iter().for_each(|event| downtimes.event(event));
    }
    // Twenty of it are within the state change.
    downtimes.event(&read(130, 180));
    downtimes.event(&read(210, 220));
    downtimes
}

#[test]
fn a_machine_that_moved() {
    let mut downtimes = scene();
    let done = "vmstate_downtime_checkpoint src-downtime-end";
    downtimes.checkpoint(&checkpoint("src", 290, done));
    let runs = "vmstate_downtime_checkpoint dst-precopy-bh-vm-started";
    downtimes.checkpoint(&checkpoint("dst", 300, runs));
    assert!(downtimes.advance(SETTLE_NS).is_empty());
    let got = downtimes.advance(300 + SETTLE_NS);
    let [downtime] = &got[..] else {
        panic!("{got:?}")
    };
    assert_eq!(downtime.end, End::Moved);
    assert_eq!(downtime.destination.as_deref(), Some("dst"));
    let whole = &downtime.whole;
    assert_eq!((whole.duration(), whole.kernel_ns()), (200, 90));
    let kernel = BTreeMap::from([(Kind::StateChange, 50), (Kind::StateData, 40)]);
    assert_eq!(whole.kernel, kernel);
    let parts: Vec<(&str, u64, u64)> = downtime
        .parts
        .iter()
        .map(|part| (part.from.as_str(), part.duration(), part.kernel_ns()))
        .collect();
    let expected = [
        ("src-downtime-start", 100, 80),
        ("src-vm-stopped", 90, 10),
        ("src-downtime-end", 10, 0),
    ];
    assert_eq!(parts, expected);
    assert!(downtime.complete && downtime.devices.contains("0000:01:00.0"));
    assert!(downtimes.finish(u64::MAX).is_empty());
}

#[test]
fn a_machine_that_went_on_at_the_source() {
    let mut downtimes = scene();
    downtimes.checkpoint(&checkpoint(
        "src",
        280,
        "migrate_set_state new state failed",
    ));
    let runs = "vm_state_notify running 1 reason 9 (running)";
    downtimes.checkpoint(&checkpoint("src", 300, runs));
    let got = downtimes.finish(400);
    assert_eq!((got[0].end, got[0].whole.duration()), (End::WentOn, 200));
    assert_eq!(got[0].destination, None);
}

#[test]
fn the_source_alone_knows_when_it_handed_over() {
    let mut downtimes = scene();
    let done = "vmstate_downtime_checkpoint src-downtime-end";
    downtimes.checkpoint(&checkpoint("src", 290, done));
    let got = downtimes.finish(400);
    assert_eq!(
        (got[0].end, got[0].whole.duration()),
        (End::HandedOver, 190)
    );
}

#[test]
fn what_did_not_end_and_what_was_lost() {
    let mut downtimes = scene();
    let [enter, _] = state_change(SOURCE, 350, 999);
    downtimes.event(&enter);
    downtimes.event(&event(360, Body::Lost { count: 1 }));
    let got = downtimes.finish(400);
    assert_eq!(
        (got[0].end, got[0].whole.to.as_deref()),
        (End::TraceEnd, None)
    );
    assert_eq!(got[0].whole.kernel[&Kind::StateChange], 100);
    assert!(!got[0].complete);
}

#[test]
fn two_machines_at_once_are_kept_apart() {
    let mut downtimes = scene();
    let stop = "vm_state_notify running 0 reason 5 (finish-migrate)";
    downtimes.checkpoint(&checkpoint("other", 210, stop));
    let runs = "vmstate_downtime_checkpoint dst-precopy-bh-vm-started";
    downtimes.checkpoint(&checkpoint("dst", 300, runs));
    let got = downtimes.finish(400);
    assert_eq!(got.len(), 2);
    assert!(got.iter().all(|downtime| downtime.end == End::TraceEnd));
}

proptest! {
    #[test]
    fn the_shares_add_up(spans in prop::collection::vec((0_u64..100, 0_u64..100, 0_usize..7), 0..30)) {
        let spans: Vec<Span> = spans
            .into_iter()
            .map(|(begin_ns, length, kind)| Span {
                begin_ns,
                end_ns: begin_ns + length,
                kind: Kind::ALL[kind],
                device: None,
                pid: 1,
            })
            .collect();
        let sums = split(&spans, 20, 80);
        let covered = (20..80).filter(|ns| spans.iter().any(|span| span.begin_ns <= *ns && *ns < span.end_ns)).count();
        prop_assert_eq!(sums.values().sum::<u64>(), covered as u64);
    }
}
